// The options of one subcommand: their names, their texts, and what each does to the command line.
//
// A table and no option parser: argv is cut before the options are looked at (see cli/argv.hpp), so nothing
// is left to parse, and a parser would cost `run` a good part of its start. Only the named subcommand's is
// built. Not thread-safe.
#pragma once

#include <functional>
#include <vector>

#include "cli/argv.hpp"
#include "cli/command_texts.hpp"
#include "cli/options.hpp"

namespace holdfast::cli {

class option_tree {
  public:
    /// The options write into `line`, which must outlive the tree.
    option_tree(subcommand command, command_line& line);

    std::vector<option_shape> shapes() const;
    std::vector<option_text> texts() const;
    /// Takes over what was used. Throws usage_error.
    void apply(const std::vector<option_use>& uses) const;

    struct entry {
        option_text text;
        std::function<void(const std::string&)> take; ///< Of a flag: with an empty text.
    };

  private:
    std::vector<entry> entries_;
};

} // namespace holdfast::cli
