// What the subcommands that show something have in common: stdout, colours, failures.
#pragma once

#include <string>

#include <holdfast/error.hpp>

#include "cli/options.hpp"
#include "cli/table.hpp"

namespace holdfast::cli {

/// Colours on a terminal only, unless --color, --plain or NO_COLOR say otherwise.
table_style style_for(const global_options& global);

/// Writes to stdout at once and returns the exit code. Whoever closed our stdout has seen enough: then the
/// process ends as a pipe's writer does.
int print(const std::string& text);

/// "16:30:01", here and now.
std::string clock_time();

/// Says why on stderr, and returns the exit code for it.
int failed(const error& why);

} // namespace holdfast::cli
