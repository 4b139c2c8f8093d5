#include "cli/keeper_signals.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <sys/signalfd.h>

namespace holdfast::cli {
namespace {

constexpr std::array ending_signals{SIGTERM, SIGINT, SIGHUP, SIGQUIT};

sigset_t served_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int each : ending_signals) {
        // A signal that our starter has us ignore (nohup, a script's background job) is queued here all the
        // same.
        struct sigaction inherited {};
        if (::sigaction(each, nullptr, &inherited) == 0 && inherited.sa_handler != SIG_IGN) {
            ::sigaddset(&set, each);
        }
    }
    for (const int each : {SIGUSR1, SIGUSR2, SIGCONT}) {
        ::sigaddset(&set, each);
    }
    return set;
}

} // namespace

bool ends_waiting(int signal_number) {
    return std::find(ending_signals.begin(), ending_signals.end(), signal_number) != ending_signals.end();
}

unique_fd open_keeper_signals() {
    const sigset_t set = served_signals();
    return unique_fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

void serve_stop_signals(const unique_fd& keeper_signals) {
    sigset_t stops;
    ::sigemptyset(&stops);
    for (const int each : {SIGTSTP, SIGTTIN, SIGTTOU}) {
        ::sigaddset(&stops, each);
    }
    ::sigprocmask(SIG_BLOCK, &stops, nullptr);
    sigset_t set = served_signals();
    ::sigaddset(&set, SIGTSTP);
    ::signalfd(keeper_signals.get(), &set, 0);
}

} // namespace holdfast::cli
