#include "cli/keeper.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "cli/child_environment.hpp"
#include "cli/exit_code.hpp"
#include "cli/keeper_signals.hpp"
#include "cli/processes.hpp"
#include "cli/text.hpp"
#include "cli/waiting.hpp"

namespace holdfast::cli {
namespace {

using std::chrono::nanoseconds;
using wall = std::chrono::steady_clock;

/// How long a hold on the store of this machine goes without threads that renew it. A break is known that
/// much later; the shortest TTL is fifty times as long.
constexpr nanoseconds unrenewed = std::chrono::milliseconds(20);

/// Tells the poll of serve_once() that the hold is lost.
struct loss_writer {
    int fd;
    void operator()() const noexcept {
        const std::uint64_t one = 1;
        const ssize_t ignored = ::write(fd, &one, sizeof one);
        (void)ignored;
    }
};

class keeper {
  public:
    keeper(const keeper_order& order, guard_process& guard)
        : order_(order), guard_(guard), signals_(open_keeper_signals()),
          lost_event_(::eventfd(0, EFD_CLOEXEC)), waiting_(order, guard, signals_.get(), report_) {
        if (!signals_ || !lost_event_) {
            throw std::system_error(errno, std::generic_category(), "cannot make an event descriptor");
        }
        // Should the guard be killed, what it was the parent of comes to us, and can be ended.
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    }

    run_report run() {
        std::optional<held> turn = waiting_.run();
        if (!turn) {
            return report_;
        }
        held_ = std::move(*turn);
        if (!start()) {
            (void)held_.release(); // The guard ends when we do.
            return report_;
        }
        while (!ended_) {
            serve_once();
        }
        stay();
        release();
        return report_;
    }

    /// Then the guard ends by itself once the command has, or could not be started.
    bool has_let_the_guard_begin() const noexcept { return ended_; }

  private:
    // Holding.

    /// False when there was no time left for the command, or none wanted any more.
    bool start() {
        serve_stop_signals(signals_);
        const store_traits traits = waiting_.store().traits();
        clock_ = traits.clock;
        held_since_ = wall::now();
        if (!order_.how.threads_later) {
            have_it_renewed();
        }
        report_.token = held_.token().value();
        validity_ = order_.how.ttl;
        publish_deadline();
        if (!wait_for_time()) {
            return false;
        }

        command_environment environment;
        environment.name = order_.run.name;
        environment.url = waiting_.store().url();
        environment.token = report_.token;
        environment.ttl = order_.how.ttl;
        environment.held_by_ancestors = std::getenv(held_variable);
        if (traits.engine == "etcd") {
            environment.etcd_key = held_.engine_key();
        }
        const bool outlives_us = traits.engine != "local";
        if (order_.verbose) {
            say("running " + in_quotes(order_.run.command.front()));
        }
        std::string text = environment_additions(environment);
        const std::optional<life_word> word = held_.second_life();
        if (word) {
            std::array<char, sizeof word->offset> offset{};
            std::memcpy(offset.data(), &word->offset, sizeof word->offset);
            text.insert(0, offset.data(), offset.size());
        }
        // Should the guard be gone, serve_once() notices.
        guard_.link.send({message_kind::start,
                          static_cast<std::int32_t>(clock_),
                          outlives_us ? 1 : 0,
                          std::move(text),
                          {}},
                         word ? word->fd : -1);
        return true;
    }

    /// Has the library renew the hold from now on, and tell of its loss. A command that ends at once needs
    /// neither, and the threads for it would cost as much as the rest.
    void have_it_renewed() {
        if (on_loss_) {
            return;
        }
        try {
            on_loss_.emplace(held_.lost(), loss_writer{lost_event_.get()});
        } catch (const std::system_error& failure) {
            if (!start_told_) { // It is tried again until the guard ends the command in time.
                start_told_ = true;
                say(failure.what());
            }
        }
    }

    /// False when the command is not to be started. With less time left than its end takes it would be ended
    /// at once: we were stopped, or the machine was busy, since the last renewal. The next one is under way.
    bool wait_for_time() {
        while (deadline_ - now(clock_) <= order_.limits.margin + order_.limits.kill_after) {
            if (held_.is_lost()) {
                report_failure(report_,
                               "lost " + in_quotes(order_.run.name) + " before the command could be started",
                               exit_code::lost);
                report_.outcome = "lost";
                return false;
            }
            have_it_renewed();
            constexpr int pause_ms = 10;
            pollfd source{signals_.get(), POLLIN, 0};
            ::poll(&source, 1, pause_ms);
            signalfd_siginfo info;
            while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
                if (ends_waiting(static_cast<int>(info.ssi_signo))) {
                    report_cancelled(report_, static_cast<int>(info.ssi_signo));
                    return false;
                }
            }
            publish_deadline();
        }
        return true;
    }

    /// Tells the guard the newest deadline, and notes when to look for a newer one.
    void publish_deadline() {
        const instant before = now(clock_);
        const nanoseconds valid = held_.valid_for();
        if (valid > nanoseconds::zero()) {
            validity_ = std::max(validity_, valid);
            deadline_ = valid == until_death ? instant::max() : before + valid;
            guard_.link.page().deadline_ns.store(deadline_.time_since_epoch().count());
        } else {
            tell_loss(); // Not every loss is announced: a local hold that was free to take learns of a break
                         // here.
        }
        look_at_ = next_look(before, deadline_, validity_);
        if (!on_loss_) {
            look_at_ = std::min(look_at_, before + unrenewed);
        }
    }

    void tell_loss() {
        if (!loss_told_) {
            loss_told_ = true;
            guard_.link.send({message_kind::hold_is_gone, 0, 0, {}, {}});
        }
    }

    void serve_once() {
        std::array<pollfd, 3> sources{{{signals_.get(), POLLIN, 0},
                                       {guard_.link.fd(), POLLIN, 0},
                                       {loss_told_ ? -1 : lost_event_.get(), POLLIN, 0}}};
        ::poll(sources.data(), sources.size(), milliseconds_until(look_at_ - now(clock_)));
        if (now(clock_) >= look_at_) {
            have_it_renewed();
            publish_deadline();
        }
        if (sources[0].revents != 0) {
            forward_signals();
        }
        if (sources[2].revents != 0) {
            tell_loss();
        }
        if (sources[1].revents != 0) {
            read_guard();
        }
    }

    void forward_signals() {
        signalfd_siginfo info;
        while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
            const int number = static_cast<int>(info.ssi_signo);
            // Ctrl-Z reaches us while the command does not have the terminal: it stops it, and the next
            // continues it.
            const bool is_second_stop = number == SIGTSTP && command_stopped_;
            if (number == SIGCONT || is_second_stop) {
                guard_.link.send({message_kind::resume, is_second_stop ? 1 : 0, 0, {}, {}});
                continue;
            }
            guard_.link.send({message_kind::forward, number, 0, {}, {}});
            if (command_stopped_ && ends_waiting(number)) {
                guard_.link.send(
                    {message_kind::forward, SIGCONT, 0, {}, {}}); // Stopped, it would not see it.
            }
        }
    }

    void read_guard() {
        message what;
        guard_link::received got{};
        while (!ended_ && (got = guard_.link.receive(what)) != guard_link::received::nothing) {
            if (got == guard_link::received::other_side_gone) {
                kill_all_descendants(guard_.link.page().command.load());
                ended_ = true;
                report_failure(report_, "its guard process was killed; the command was killed too",
                               exit_code::internal);
            } else {
                note(what);
            }
        }
    }

    void note(const message& what) {
        switch (what.kind) {
        case message_kind::start_failed:
            ended_ = true;
            report_failure(report_,
                           "cannot run " + in_quotes(order_.run.command.front()) + ": " +
                               std::strerror(what.value),
                           exit_code_for_exec(what.value));
            report_.outcome = "not_started";
            break;
        case message_kind::stopped:
            command_stopped_ = true;
            say_stopped(what.value);
            break;
        case message_kind::continued:
            command_stopped_ = false;
            break;
        case message_kind::verdict:
            say_verdict(static_cast<guard_verdict>(what.value));
            break;
        case message_kind::ended:
            ended_ = true;
            judge(what.value, static_cast<guard_verdict>(what.detail));
            break;
        default:
            break;
        }
    }

    void say_stopped(int signal_number) const {
        if (order_.quiet || ::isatty(STDERR_FILENO) != 1) {
            return;
        }
        const std::string held = "; " + in_quotes(order_.run.name) + " is still held. ";
        if (signal_number == SIGTTIN || signal_number == SIGTTOU) {
            say("the command waits for the terminal" + held + "Give it the terminal with: fg");
        } else {
            say("the command is stopped" + held + "Ctrl-Z continues it, and so does kill -CONT " +
                std::to_string(::getpid()) + "; Ctrl-C ends it");
        }
    }

    void say_verdict(guard_verdict verdict) {
        const std::string name = in_quotes(order_.run.name);
        if (verdict == guard_verdict::lost) {
            const loss_reason reason = held_.reason();
            report_.reason =
                reason == loss_reason::none ? "not renewed in time" : std::string(to_string(reason));
            say("lost " + name + " (" + report_.reason + "); " +
                (order_.limits.mode == on_lost::warn ? "the command goes on without it"
                                                     : "ending the command"));
        } else if (verdict == guard_verdict::too_long) {
            report_.reason = "--max-hold passed";
            say("the command has held " + name + " for the whole --max-hold; ending it");
        } else if (verdict == guard_verdict::leftovers && order_.verbose) {
            say("the command ended, but left processes behind; waiting for them, then ending them");
        }
    }

    void judge(int status, guard_verdict verdict) {
        if (verdict == guard_verdict::lost) {
            report_.outcome = "lost";
            report_.exit = exit_code::lost;
        } else if (verdict == guard_verdict::too_long) {
            report_.outcome = "max_hold";
            report_.exit = exit_code::max_hold;
        } else {
            report_.outcome = "completed";
            report_.exit =
                WIFEXITED(status) ? WEXITSTATUS(status) : exit_code::signal_base + WTERMSIG(status);
        }
        if (WIFSIGNALED(status)) {
            report_.signal = WTERMSIG(status);
        }
    }

    // Afterwards.

    /// --at-least: an ending signal or the loss cuts it short.
    void stay() {
        if (!order_.run.at_least || report_.outcome != "completed") {
            return;
        }
        have_it_renewed();
        const wall::time_point until = held_since_ + *order_.run.at_least;
        for (wall::time_point at = wall::now(); at < until && !held_.is_lost(); at = wall::now()) {
            std::array<pollfd, 2> sources{{{signals_.get(), POLLIN, 0}, {lost_event_.get(), POLLIN, 0}}};
            if (::poll(sources.data(), sources.size(), milliseconds_until(until - at)) <= 0) {
                continue;
            }
            signalfd_siginfo info;
            while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
                if (ends_waiting(static_cast<int>(info.ssi_signo))) {
                    return;
                }
            }
        }
    }

    void release() {
        report_.held = wall::now() - held_since_;
        const result<void> released = held_.release();
        if (released || report_.outcome == "lost") {
            return;
        }
        const error& why = released.error();
        if (why.code() == errc::lost && report_.outcome == "completed") {
            report_failure(report_, "lost " + in_quotes(order_.run.name) + " before the command ended",
                           exit_code::lost);
            report_.outcome = "lost";
        } else if (!order_.quiet) {
            say(why.message());
        }
    }

    const keeper_order& order_;
    guard_process& guard_;
    unique_fd signals_;
    unique_fd lost_event_;
    wall::time_point held_since_{};
    run_report report_;
    waiting waiting_; ///< Lasts as long as we do: whom it asked who holds may answer late.
    held held_;
    std::optional<std::stop_callback<loss_writer>> on_loss_;
    bool start_told_ = false;
    clock_source clock_ = clock_source::boottime;
    nanoseconds validity_{};
    instant deadline_{};
    instant look_at_{};
    bool command_stopped_ = false;
    bool loss_told_ = false;
    bool ended_ = false;
};

} // namespace

run_report keep(const keeper_order& order, guard_process& guard) {
    run_report report;
    bool guard_is_ending = false;
    {
        keeper turn(order, guard);
        report = turn.run();
        guard_is_ending = turn.has_let_the_guard_begin();
    }
    if (guard_is_ending) {
        ::waitpid(guard.pid, nullptr, 0); // Only now: it has been ending beside us.
    }
    return report;
}

int milliseconds_until(std::optional<nanoseconds> left) {
    if (!left) {
        return -1;
    }
    constexpr nanoseconds longest = std::chrono::hours(1);
    const nanoseconds bounded = std::clamp(*left, nanoseconds::zero(), longest);
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(bounded).count());
}

instant next_look(instant now, instant deadline, nanoseconds validity) noexcept {
    const instant renewed_at = deadline - validity;
    return std::max(now + validity / 20, renewed_at + validity / 3 + validity / 50);
}

} // namespace holdfast::cli
