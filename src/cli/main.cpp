// The command `holdfast`, and with HOLDFAST_NET defined `holdfast-net`: the same source, linked with all
// stores.
#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <string>
#include <system_error>
#include <unistd.h>
#include <vector>

#include "cli/command_texts.hpp"
#include "cli/commands.hpp"
#include "cli/config.hpp"
#include "cli/exit_code.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/run_report.hpp"

namespace holdfast::cli {
namespace {

#ifdef HOLDFAST_NET
constexpr bool has_network_stores = true;
#else
constexpr bool has_network_stores = false;
#endif

/// Opens what of 0, 1 and 2 is closed, so that no descriptor of ours gets such a number. The command sees
/// them closed.
void fill_standard_descriptors() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(fd, F_GETFD) < 0) {
            const int opened = ::open("/dev/null", O_RDWR | O_CLOEXEC);
            (void)opened; // The lowest free number, which is fd.
        }
    }
}

/// Becomes libexec/holdfast/holdfast-net beside our bin folder; throws config_error when that fails.
[[noreturn]] void become_holdfast_net(char** argv, std::string_view scheme) {
    std::array<char, PATH_MAX> self{};
    const ssize_t length = ::readlink("/proc/self/exe", self.data(), self.size() - 1);
    std::string path(self.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    path += "/libexec/holdfast/holdfast-net";
    ::execv(path.c_str(), argv);
    throw config_error("'" + std::string(scheme) + ":' needs the network stores, and " + path +
                       " cannot be run: " + std::strerror(errno) +
                       "; install holdfast with them, or use local:");
}

/// A password among the arguments can be read by everybody on the machine for as long as we run: from now on
/// there are stars.
void hide_passwords(int argc, char** argv) {
    for (int index = 1; index < argc; ++index) {
        const bool is_next = std::string_view(argv[index - 1]) == "--url";
        const std::string_view text = argv[index];
        const std::size_t scheme_end = text.find("://");
        if ((!is_next && text.substr(0, 6) != "--url=") || scheme_end == std::string_view::npos) {
            continue;
        }
        const std::size_t begin = scheme_end + 3;
        const std::string_view authority = text.substr(begin, text.find('/', begin) - begin);
        const std::size_t colon = authority.find(':');
        const std::size_t at = authority.rfind('@');
        if (at != std::string_view::npos && colon < at) {
            std::fill(argv[index] + begin + colon + 1, argv[index] + begin + at, '*');
        }
    }
}

/// Whether the configuration file is not needed for the URL.
bool has_url(const command_line& line) {
    const char* environment = std::getenv("HOLDFAST_URL");
    return !line.global.url.empty() || (environment != nullptr && environment[0] != '\0');
}

int dispatch(const command_line& line, int argc, char** argv) {
    if (line.help) {
        return print(help_text(line.command));
    }
    if (line.command == subcommand::version) {
        return version_command(line);
    }
    if (line.command == subcommand::completion) {
        return print(line.shell == "bash" ? bash_completion() : zsh_completion());
    }
    if (line.command == subcommand::man) {
        return print(man_page());
    }
    const settings chosen =
        resolve_settings(line, read_config_file(has_url(line)), std::getenv("HOLDFAST_URL"));
    if (!has_network_stores && is_network_scheme(url_scheme(chosen.url))) {
        become_holdfast_net(argv, url_scheme(chosen.url));
    }
    hide_passwords(argc, argv);
    switch (line.command) {
    case subcommand::run:
        return run_command(line, chosen);
    case subcommand::elect:
        return line.observe ? observe_command(line, chosen) : run_command(line, chosen);
    case subcommand::show:
        return show_command(line, chosen);
    case subcommand::watch:
        return watch_command(line, chosen);
    case subcommand::break_holds:
        return break_command(line, chosen);
    case subcommand::resize:
        return resize_command(line, chosen);
    case subcommand::doctor:
        return doctor_command(line, chosen);
    default:
        return ls_command(line, chosen);
    }
}

/// Says what went wrong before there was a hold, in the status line too where one was asked for.
int fail(const command_line& line, const char* message, int code) {
    run_report report;
    report_failure(report, message, code);
    if (line.run.status_fd && ::fcntl(*line.run.status_fd, F_GETFD) >= 0) {
        write_report(*line.run.status_fd, report);
    }
    return code;
}

int main_without_exceptions(int argc, char** argv) {
    command_line line;
    try {
        line = parse_command_line({argv + std::min(argc, 1), argv + argc});
        return dispatch(line, argc, argv);
    } catch (const usage_error& wrong) {
        return fail(line, wrong.what(), exit_code::usage);
    } catch (const config_error& wrong) {
        return fail(line, wrong.what(), exit_code::config);
    } catch (const std::system_error& failure) {
        const bool ours = failure.code().category() == error_category();
        return fail(line, failure.what(),
                    ours ? exit_code_for(static_cast<errc>(failure.code().value())) : exit_code::internal);
    } catch (const std::exception& failure) {
        return fail(line, failure.what(), exit_code::internal);
    }
}

} // namespace
} // namespace holdfast::cli

int main(int argc, char** argv) {
    holdfast::cli::fill_standard_descriptors();
    return holdfast::cli::main_without_exceptions(argc, argv);
}
