#include <array>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/keeper.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {
namespace {

constexpr std::size_t max_shown_bytes = 128; // options::command and options::why.

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) {
        text += (text.empty() ? "" : " ") + word;
        if (text.size() > max_shown_bytes) {
            break;
        }
    }
    return shortened(text, max_shown_bytes);
}

/// Where the leader is, as far as we can know.
std::string usual_proposal() {
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    return std::string(host.data()) + ":" + std::to_string(::getpid());
}

void check(const run_options& run) {
    const result<resource_name> name = resource_name::make(run.name);
    if (!name) {
        throw usage_error(name.error().message());
    }
    if (run.why.size() > max_shown_bytes) {
        throw usage_error("--why is longer than 128 bytes; shorten it");
    }
    if (run.status_fd) {
        const int flags = ::fcntl(*run.status_fd, F_GETFD);
        if (flags < 0) {
            throw usage_error("--status-fd " + std::to_string(*run.status_fd) +
                              " is not an open descriptor; open it first, for instance with 3>status.json");
        }
        // The command must not hold it open: whoever reads it waits for its end.
        if (*run.status_fd > STDERR_FILENO) {
            ::fcntl(*run.status_fd, F_SETFD, flags | FD_CLOEXEC);
        }
    }
}

/// A password that comes by descriptor (/dev/fd/3, <(pass show redis)) is for us and not for the command.
void keep_from_command(const std::string& password_file) {
    for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
        const std::string_view path = password_file;
        if (path.substr(0, folder.size()) != folder) {
            continue;
        }
        int fd = -1;
        const std::string_view number = path.substr(folder.size());
        std::from_chars(number.data(), number.data() + number.size(), fd);
        const int flags = fd > STDERR_FILENO ? ::fcntl(fd, F_GETFD) : -1;
        if (flags >= 0) {
            ::fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
        }
    }
}

guard_limits limits_for(const run_options& run, std::chrono::nanoseconds ttl) {
    guard_limits limits;
    const std::chrono::nanoseconds usual = ttl == until_death ? options().ttl : ttl;
    limits.mode = run.lost;
    limits.margin = run.margin.value_or(usual / 20);
    limits.kill_after = run.kill_after.value_or(usual / 5);
    limits.max_hold = run.max_hold;
    if (!limits_fit(limits, ttl)) {
        throw usage_error("--margin and --kill-after together must stay under half of the ttl; "
                          "raise --ttl or lower them");
    }
    return limits;
}

/// Ends this process as the command ended, without a core of our own.
void die_by(int signal_number) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    ::prctl(PR_SET_DUMPABLE, 0);
    struct sigaction usual {};
    usual.sa_handler = SIG_DFL;
    ::sigaction(signal_number, &usual, nullptr);
    sigset_t only;
    ::sigemptyset(&only);
    ::sigaddset(&only, signal_number);
    ::raise(signal_number);
    ::sigprocmask(SIG_UNBLOCK, &only, nullptr);
}

} // namespace

int run_command(const command_line& line, const settings& chosen) {
    check(line.run);
    keep_from_command(chosen.how.password_file);
    keeper_order order;
    order.run = line.run;
    if (line.command == subcommand::elect && !order.run.proposal) {
        order.run.proposal = usual_proposal();
    }
    order.quiet = line.global.quiet;
    order.verbose = line.global.verbose;
    order.url = chosen.url;
    order.how = chosen.how;
    order.how.command = joined(line.run.command);
    order.how.why = line.run.why;
    const bool on_this_machine = url_scheme(chosen.url) == "local";
    order.how.threads_later = on_this_machine;
    order.how.store_until_exit = true;
    order.limits = limits_for(line.run, chosen.how.ttl);

    // Before any thread and any store: a guard forked later would hold their descriptors and half of their
    // state.
    guard_order for_guard;
    for_guard.command = line.run.command;
    for_guard.name = line.run.name;
    for_guard.limits = order.limits;
    for_guard.signals = block_signals();
    guard_process guard = fork_guard(for_guard);

    // A store's connection that breaks while it is written to must be an error there, not our death.
    ::signal(SIGPIPE, SIG_IGN);
    const run_report report = keep(order, guard);
    if (line.run.status_fd) {
        write_report(*line.run.status_fd, report);
    }
    if (report.outcome == "completed" && report.signal) {
        die_by(*report.signal);
    }
    if (!on_this_machine) {
        // The session has ended, and nothing else is left that anybody waits for. To take down a connection
        // with the threads of a client library would be a sixth of a short command's time.
        std::_Exit(report.exit);
    }
    return report.exit;
}

} // namespace holdfast::cli
