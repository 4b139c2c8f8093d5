#include "cli/guard_terminal.hpp"

#include <csignal>
#include <fcntl.h>
#include <unistd.h>

namespace holdfast::cli {

void guard_terminal::open_if_on_both_sides() {
    if (::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1) {
        open();
    }
}

bool guard_terminal::is_asked_for_by(int stop_signal) noexcept {
    return stop_signal == SIGTTIN || stop_signal == SIGTTOU;
}

void guard_terminal::want(bool with_group) noexcept {
    wanted_ = true;
    with_group_ = with_group;
}

bool guard_terminal::lend(pid_t command) {
    if (!terminal_) {
        open();
    }
    if (!terminal_ || ::tcgetpgrp(terminal_.get()) != keeper_group_) {
        return false;
    }
    ::tcsetpgrp(terminal_.get(), command);
    ::kill(-command, SIGCONT);
    if (with_group_) {
        ::kill(-keeper_group_, SIGCONT);
    }
    want_no_more();
    return true;
}

void guard_terminal::open() {
    terminal_ = unique_fd(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
}

void guard_terminal::move(pid_t from, pid_t to) const {
    if (terminal_ && ::tcgetpgrp(terminal_.get()) == from) {
        ::tcsetpgrp(terminal_.get(), to);
    }
}

} // namespace holdfast::cli
