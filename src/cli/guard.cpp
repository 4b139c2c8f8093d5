#include "cli/guard.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

#include "cli/guard_terminal.hpp"
#include "cli/processes.hpp"
#include "cli/second_life.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {
namespace {

/// Signals that report a fault of this program: blocked, they would only hide it.
constexpr std::array faults{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

sigset_t all_but_faults() {
    sigset_t set;
    ::sigfillset(&set);
    for (const int fault : faults) {
        ::sigdelset(&set, fault);
    }
    return set;
}

/// The environment for the command: ours, with the additions in place of what had their names.
std::vector<char*> environment_with(std::string& additions) {
    std::vector<char*> result;
    std::vector<std::string_view> names;
    for (std::size_t at = 0; at < additions.size();) {
        char* entry = additions.data() + at;
        const std::string_view text = entry;
        names.push_back(text.substr(0, text.find('=') + 1));
        result.push_back(entry);
        at += text.size() + 1;
    }
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        bool replaced = false;
        for (const std::string_view name : names) {
            replaced = replaced || text.substr(0, name.size()) == name;
        }
        if (!replaced) {
            result.push_back(*entry);
        }
    }
    result.push_back(nullptr);
    return result;
}

class guard {
  public:
    guard(const guard_order& order, const guard_link& link, pid_t keeper_group)
        : order_(order), link_(link), terminal_(keeper_group) {}

    [[noreturn]] void run() {
        prepare();
        for (;;) {
            wait_for_something();
            read_keeper();
            reap();
            follow_plan();
        }
    }

  private:
    void prepare() {
        ::setpgid(0, 0);
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        ::prctl(PR_SET_NAME, "holdfast-guard");
        const sigset_t blocked = all_but_faults();
        ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
        // Whoever started us may ignore SIGCHLD; then nothing could be waited for.
        struct sigaction usual {};
        usual.sa_handler = SIG_DFL;
        ::sigaction(SIGCHLD, &usual, &inherited_sigchld_);
        sigset_t children;
        ::sigemptyset(&children);
        ::sigaddset(&children, SIGCHLD);
        children_ = unique_fd(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
        if (!children_) {
            std::_Exit(EXIT_FAILURE);
        }
    }

    void wait_for_something() {
        std::array<pollfd, 3> sources{};
        sources[0] = {keeper_gone_ ? -1 : link_.fd(), POLLIN, 0};
        sources[1] = {children_.get(), POLLIN, 0};
        sources[2] = {timer_.get(), POLLIN, 0};
        constexpr int pause_ms = 100;
        ::poll(sources.data(), sources.size(), terminal_.is_wanted() ? pause_ms : -1);
        signalfd_siginfo ignored;
        while (::read(children_.get(), &ignored, sizeof ignored) > 0) {
        }
        if (terminal_.is_wanted()) {
            (void)terminal_.lend(command_);
        }
    }

    void read_keeper() {
        message what;
        guard_link::received got{};
        while (!keeper_gone_ && (got = link_.receive(what)) != guard_link::received::nothing) {
            if (got == guard_link::received::other_side_gone) {
                lose_keeper();
            } else {
                obey(what);
            }
        }
    }

    void lose_keeper() {
        keeper_gone_ = true;
        if (command_ == 0) {
            std::_Exit(EXIT_SUCCESS); // Nothing was started: the keeper ended while it waited.
        }
        plan_->keeper_is_gone(now(clock_), deadline());
    }

    void obey(message& what) {
        switch (what.kind) {
        case message_kind::start:
            begin_second_life(what);
            start(what);
            break;
        case message_kind::forward:
            if (command_running_) {
                ::kill(-command_, what.value);
            } else if (command_ != 0) {
                signal_descendants(command_, false,
                                   what.value); // What it left behind is what we wait for now.
            }
            break;
        case message_kind::resume:
            resume(what.value != 0);
            break;
        case message_kind::hold_is_gone:
            if (plan_) {
                plan_->hold_is_gone(now(clock_), deadline());
            }
            break;
        default:
            break;
        }
    }

    void begin_second_life(message& what) {
        std::uint64_t offset = 0;
        if (what.fd && what.text.size() >= sizeof offset) {
            std::memcpy(&offset, what.text.data(), sizeof offset);
            what.text.erase(0, sizeof offset);
            lives_on_ = life_.begin(what.fd.get(), offset);
        }
        what.fd.reset();
    }

    void start(message& what) {
        clock_ = static_cast<clock_source>(what.value);
        order_.limits.claim_outlives_keeper = what.detail != 0 || lives_on_;
        timer_ = unique_fd(::timerfd_create(
            clock_ == clock_source::boottime ? CLOCK_BOOTTIME : CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
        std::array<int, 2> ends{-1, -1};
        if (!timer_ || ::pipe2(ends.data(), O_CLOEXEC) != 0) {
            refuse_start(errno);
        }
        exec_failure_ = unique_fd(ends[0]);
        const unique_fd failure_end(ends[1]);
        terminal_.open_if_on_both_sides();
        std::vector<char*> arguments;
        for (const std::string& argument : order_.command) {
            arguments.push_back(const_cast<char*>(argument.c_str()));
        }
        arguments.push_back(nullptr);
        const std::vector<char*> environment = environment_with(what.text);
        const pid_t self = ::getpid();
        const pid_t child = ::fork();
        if (child < 0) {
            refuse_start(errno);
        }
        if (child == 0) {
            become_command(self, failure_end.get(), arguments, environment);
        }
        ::setpgid(child, child); // Both sides set it, so that it is set whoever runs first.
        command_ = child;
        command_running_ = true;
        plan_.emplace(order_.limits, now(clock_));
        link_.page().command.store(child);
    }

    [[noreturn]] void refuse_start(int error_number) {
        tell({message_kind::start_failed, error_number, 0, {}, {}});
        std::_Exit(EXIT_FAILURE);
    }

    /// In the child. Everything of ours closes itself at exec.
    [[noreturn]] void become_command(pid_t guard_pid, int failure_fd, const std::vector<char*>& arguments,
                                     const std::vector<char*>& environment) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != guard_pid) {
            std::_Exit(EXIT_FAILURE); // The guard died before the line above.
        }
        ::setpgid(0, 0);
        terminal_.give_to(::getpid());
        ::sigaction(SIGCHLD, &inherited_sigchld_, nullptr);
        ::sigprocmask(SIG_SETMASK, &order_.signals.mask, nullptr);
        ::execvpe(arguments[0], arguments.data(), environment.data());
        const int failure = errno;
        const ssize_t ignored = ::write(failure_fd, &failure, sizeof failure);
        (void)ignored;
        std::_Exit(EXIT_FAILURE);
    }

    /// After a Ctrl-Z of the keeper's group a shell may be about to take the terminal; then its `fg`
    /// continues.
    void resume(bool by_terminal) {
        if (!command_running_) {
            return;
        }
        if (by_terminal) {
            terminal_.want(true);
        } else {
            terminal_.give_to(command_);
            ::kill(-command_, SIGCONT);
        }
    }

    void note_stop(int signal_number) {
        if (guard_terminal::is_asked_for_by(signal_number)) {
            terminal_.want(false);
            if (terminal_.lend(command_)) {
                return;
            }
        }
        terminal_.take_from(command_);
        tell({message_kind::stopped, signal_number, 0, {}, {}});
    }

    void read_exec_failure() {
        int failure = 0;
        if (::read(exec_failure_.get(), &failure, sizeof failure) == sizeof failure) {
            start_failure_ = failure;
        }
        exec_failure_.reset();
    }

    void reap() {
        if (command_ == 0) {
            return;
        }
        int status = 0;
        pid_t reaped = 0;
        while ((reaped = ::waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
            if (reaped != command_) {
                continue;
            }
            if (WIFSTOPPED(status)) {
                note_stop(WSTOPSIG(status));
            } else if (WIFCONTINUED(status)) {
                terminal_.want_no_more();
                tell({message_kind::continued, 0, 0, {}, {}});
            } else {
                command_running_ = false;
                terminal_.want_no_more();
                command_status_ = status;
                terminal_.take_from(command_);
            }
        }
        const bool nobody_left = reaped < 0 && errno == ECHILD;
        if (command_running_) {
            return;
        }
        if (exec_failure_) {
            read_exec_failure(); // Written before the child ended, and closed at its exec: this does not
                                 // block.
        }
        if (nobody_left) {
            finish();
        }
        plan_->command_left_others(now(clock_));
    }

    void follow_plan() {
        if (!plan_) {
            return;
        }
        const guard_plan::step next = plan_->at(now(clock_), deadline());
        if (plan_->verdict() != told_) {
            told_ = plan_->verdict();
            tell({message_kind::verdict, static_cast<std::int32_t>(told_), 0, {}, {}});
        }
        if (next.terminate) {
            signal_descendants(command_, command_running_, SIGTERM);
        }
        if (next.kill) {
            signal_descendants(command_, command_running_, SIGKILL);
        }
        arm(next.look_again);
        say_keeper_is_gone();
    }

    /// After the signals: a terminal or a pipe that is not read must not delay them.
    void say_keeper_is_gone() {
        if (keeper_gone_ && !said_) {
            said_ = true;
            say("the process that held " + in_quotes(order_.name) + " died; " +
                (order_.limits.mode == on_lost::warn ? "the command goes on without the hold"
                                                     : "ending the command"));
        }
    }

    void arm(const std::optional<instant>& at) {
        itimerspec when{}; // All zero: disarmed.
        if (at) {
            // At least 1 ns: an instant before the clock's beginning would disarm the timer.
            const auto since_start =
                std::max<std::chrono::nanoseconds>(at->time_since_epoch(), instant::duration(1));
            const auto seconds = std::chrono::floor<std::chrono::seconds>(since_start);
            when.it_value.tv_sec = seconds.count();
            when.it_value.tv_nsec = (since_start - seconds).count();
        }
        ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
    }

    [[noreturn]] void finish() {
        say_keeper_is_gone();
        if (start_failure_ != 0) {
            tell({message_kind::start_failed, start_failure_, 0, {}, {}});
        } else {
            tell({message_kind::ended, command_status_, static_cast<std::int32_t>(plan_->verdict()), {}, {}});
        }
        std::_Exit(EXIT_SUCCESS);
    }

    void tell(const message& what) {
        if (!keeper_gone_) {
            link_.send(what); // Should it die just now, the next receive says so.
        }
    }

    instant deadline() const { return instant(instant::duration(link_.page().deadline_ns.load())); }

    guard_order order_;
    const guard_link& link_;
    guard_terminal terminal_;
    struct sigaction inherited_sigchld_ {};
    unique_fd children_;
    unique_fd timer_;
    unique_fd exec_failure_;
    clock_source clock_ = clock_source::boottime;
    std::optional<guard_plan> plan_;
    guard_verdict told_ = guard_verdict::running;
    pid_t command_ = 0;
    int command_status_ = 0;
    int start_failure_ = 0;
    second_life life_;
    bool lives_on_ = false; ///< The claim lasts until we end, whatever becomes of the keeper.
    bool command_running_ = false;
    bool keeper_gone_ = false;
    bool said_ = false;
};

} // namespace

signal_state block_signals() {
    signal_state before;
    sigset_t blocked = all_but_faults();
    for (const int stop : {SIGTSTP, SIGTTIN, SIGTTOU}) {
        ::sigdelset(&blocked, stop);
    }
    ::sigprocmask(SIG_BLOCK, &blocked, &before.mask);
    return before;
}

guard_process fork_guard(const guard_order& order) {
    guard_process made;
    const pid_t keeper_group = ::getpgrp();
    const pid_t child = ::fork();
    if (child < 0) {
        throw std::system_error(errno, std::generic_category(), "cannot fork the guard");
    }
    if (child == 0) {
        made.link.become_guard();
        guard(order, made.link, keeper_group).run();
    }
    made.link.become_keeper();
    made.pid = child;
    return made;
}

} // namespace holdfast::cli
