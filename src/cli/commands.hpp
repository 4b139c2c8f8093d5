// The subcommands. Each returns the exit code, except that run may end the process by the command's signal.
#pragma once

#include <string>

#include <holdfast/holdfast.hpp>

#include "cli/config.hpp"
#include "cli/options.hpp"

namespace holdfast::cli {

/// The store and how to use it, after flag, environment and file have been weighed.
struct settings {
    std::string url;
    options how;
};

/// Throws config_error and usage_error.
settings resolve_settings(const command_line& line, const config_file& file, const char* environment_url);

int run_command(const command_line& line, const settings& chosen);
int ls_command(const command_line& line, const settings& chosen);
int show_command(const command_line& line, const settings& chosen);
int watch_command(const command_line& line, const settings& chosen);
int break_command(const command_line& line, const settings& chosen);
int resize_command(const command_line& line, const settings& chosen);
/// elect --observe; with a command, elect is run_command.
int observe_command(const command_line& line, const settings& chosen);
int doctor_command(const command_line& line, const settings& chosen);
int version_command(const command_line& line);

} // namespace holdfast::cli
