// What the command line says, as plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/argv.hpp"

namespace holdfast::cli {

enum class subcommand {
    none,
    run,
    ls,
    show,
    watch,
    break_holds,
    resize,
    elect,
    doctor,
    completion,
    man,
    version
};
enum class color_mode { automatic, always, never };
enum class on_lost { term, kill, warn };
enum class ls_order { name, state, since };

/// Options of every subcommand. Durations are nothing where they were not given.
struct global_options {
    std::string url;
    std::optional<std::chrono::nanoseconds> timeout;
    std::string ca_file;
    std::string cert_file;
    std::string key_file;
    std::string password_file;
    color_mode color = color_mode::automatic;
    bool json = false;
    bool plain = false;
    bool quiet = false;
    bool verbose = false;
};

struct run_options {
    std::string name;
    std::vector<std::string> command;
    bool nonblock = false;
    bool shared = false;
    bool skip_ok = false;
    std::optional<std::chrono::nanoseconds> wait;
    std::optional<std::chrono::nanoseconds> ttl;
    std::optional<std::chrono::nanoseconds> at_least;
    std::optional<std::chrono::nanoseconds> max_hold;
    std::optional<std::chrono::nanoseconds> kill_after; ///< Nothing: ttl/5.
    std::optional<std::chrono::nanoseconds> margin;     ///< Nothing: ttl/20.
    std::optional<std::uint32_t> slots;
    std::optional<int> conflict_exit_code;
    std::optional<int> status_fd;
    std::string why;
    on_lost lost = on_lost::term;
    std::optional<std::string> proposal; ///< elect: what observers read while the command runs.
};

struct ls_options {
    ls_order order = ls_order::name;
    bool stale_only = false;
};

/// Of the commands that look at one name or change it.
struct admin_options {
    std::string name; ///< watch: empty for all.
    bool yes = false;
    std::optional<std::uint64_t> if_token;
    std::uint32_t permits = 0;
    std::chrono::nanoseconds every = std::chrono::seconds(1);
};

/// One parsed command line. help: print help_text(command) and do nothing else.
struct command_line {
    subcommand command = subcommand::none;
    bool help = false;
    global_options global;
    run_options run;
    ls_options ls;
    admin_options admin;
    bool observe = false; ///< elect: of admin.name.
    std::string shell;    ///< completion: bash or zsh.
};

/// Parses what follows the program's name. Throws usage_error.
command_line parse_command_line(const std::vector<std::string>& arguments);

// Each reads a duration and throws a usage_error that names the option, when it is none or not a fitting one.
std::chrono::nanoseconds checked_duration(const std::string& text, const std::string& what);
inline constexpr std::string_view until_death_text = "until-death";
/// 1 s to 24 h, or until_death.
std::chrono::nanoseconds checked_ttl(const std::string& text, const std::string& what);
std::chrono::nanoseconds checked_timeout(const std::string& text, const std::string& what); ///< Above zero.

} // namespace holdfast::cli
