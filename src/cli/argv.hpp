// Cuts argv into options, words and the command that `run` starts, before any option parser sees it.
//
// The option parser would look for options inside CMD; so CMD is cut off first: it begins at the first word
// after NAME that is neither an option nor an option's value, or after "--", and reaches the child untouched.
// Pure functions.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

/// Wrong usage: the message says what and how to mend it; the exit code is 64.
class usage_error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// One option as the cut needs to know it.
struct option_shape {
    std::string long_name;            ///< Without dashes; what option_use carries.
    std::vector<std::string> aliases; ///< Other long names, without dashes.
    std::vector<char> letters;        ///< Short names.
    bool takes_value = false;
};

/// An option as it was used.
struct option_use {
    std::string long_name;
    std::optional<std::string> value;

    friend bool operator==(const option_use&, const option_use&) = default;
};

struct cut_argv {
    std::vector<option_use> options;
    std::vector<std::string> words; ///< At most as many as asked for.
    std::vector<std::string> rest;  ///< What follows them, untouched.
};

/// Reads options until `word_count` words and then one more word, or "--", were found; the rest is not looked
/// at. Throws usage_error for an unknown option (with the nearest known one), a missing value and an unwanted
/// one.
cut_argv cut(const std::vector<std::string>& arguments, const std::vector<option_shape>& known,
             std::size_t word_count);

/// The candidate that the text was probably meant to be, or nothing when none is near.
std::optional<std::string> nearest(std::string_view text, const std::vector<std::string>& candidates);

} // namespace holdfast::cli
