// What help, man page and completions say about the subcommands, and the options that they find in the tree.
//
// Constants and pure functions.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cli/options.hpp"

namespace holdfast::cli {

struct subcommand_text {
    subcommand id;
    const char* name;
    const char* words; ///< What follows the options: "NAME [--] COMMAND [ARGUMENT...]".
    int word_count;    ///< How many words are ours; what follows them is cut off untouched.
    const char* summary;
    const char* details; ///< Paragraphs for help and man page; may be empty.
    const char* examples;
};

/// All of them, in the order in which they are shown.
std::span<const subcommand_text> subcommand_texts() noexcept;

/// The text of one; null for none.
const subcommand_text* text_of(subcommand id) noexcept;

/// "run, ls, ... and version".
std::string known_subcommands();

struct exit_code_text {
    const char* code;
    const char* meaning;
};
std::span<const exit_code_text> exit_code_texts() noexcept;

/// One option of the tree.
struct option_text {
    std::vector<std::string> names; ///< Long names without dashes; the first is the usual one.
    std::vector<char> letters;
    std::string value; ///< The value's name, such as DURATION; empty for a flag.
    std::string help;
};

/// The options that a subcommand takes, its own first. Generated from the tree that parses them.
std::vector<option_text> option_texts(subcommand id);

/// The help for a subcommand, or for the whole command.
std::string help_text(subcommand command);

/// A script for bash or zsh that completes subcommands, options and their values.
std::string bash_completion();
std::string zsh_completion();

/// The manual page, for `man -l -`.
std::string man_page();

} // namespace holdfast::cli
