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

#include "cli/acquisition.hpp"
#include "cli/child_environment.hpp"
#include "cli/exit_code.hpp"
#include "cli/keeper_signals.hpp"
#include "cli/processes.hpp"
#include "cli/text.hpp"
#include "cli/waiting_notice.hpp"

namespace holdfast::cli {
namespace {

using std::chrono::nanoseconds;
using wall = std::chrono::steady_clock;

int milliseconds_until(std::optional<nanoseconds> left) {
    if (!left) {
        return -1;
    }
    constexpr nanoseconds longest = std::chrono::hours(1);
    const nanoseconds bounded = std::clamp(*left, nanoseconds::zero(), longest);
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(bounded).count());
}

class keeper {
  public:
    keeper(const keeper_order& order, guard_process& guard)
        : order_(order), guard_(guard), signals_(open_keeper_signals()),
          lost_event_(::eventfd(0, EFD_CLOEXEC)) {
        if (!signals_ || !lost_event_) {
            throw std::system_error(errno, std::generic_category(), "cannot make an event descriptor");
        }
        // Should the guard be killed, what it was the parent of comes to us, and can be ended.
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    }

    run_report run() {
        if (!acquire()) {
            return report_;
        }
        const std::stop_callback on_loss(held_.lost(), [fd = lost_event_.get()] {
            const std::uint64_t one = 1;
            const ssize_t ignored = ::write(fd, &one, sizeof one);
            (void)ignored;
        });
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

  private:
    // Waiting.

    bool acquire() {
        acquisition_request request;
        request.url = order_.url;
        request.how = order_.how;
        request.name = order_.run.name;
        request.slots = order_.run.slots;
        request.shared = order_.run.shared;
        request.proposal = order_.run.proposal;
        request.nonblock = order_.run.nonblock;
        request.wait = order_.run.wait;
        request.held_by_ancestors = std::getenv(held_variable);
        acquisition attempt(std::move(request));
        notice_.emplace(order_.run.name, !order_.quiet && ::isatty(STDERR_FILENO) == 1);
        while (!attempt.finished()) {
            std::array<pollfd, 3> sources{
                {{signals_.get(), POLLIN, 0}, {attempt.fd(), POLLIN, 0}, {guard_.link.fd(), POLLIN, 0}}};
            ::poll(sources.data(), sources.size(), milliseconds_until(notice_->due_in()));
            notice_->show_if_due(attempt);
            if (sources[0].revents != 0) {
                cancel_by_signal(attempt);
            }
            if (sources[2].revents != 0) {
                attempt.cancel();
                return fail("its guard process was killed", exit_code::internal);
            }
        }
        notice_->is_over();
        report_.waited = wall::now() - begun_;
        result<held> outcome = attempt.take();
        store_ = attempt.store();
        return outcome ? accept(std::move(*outcome)) : refuse(outcome.error());
    }

    void cancel_by_signal(acquisition& attempt) {
        signalfd_siginfo info;
        while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
            const int number = static_cast<int>(info.ssi_signo);
            if (!ends_waiting(number)) {
                continue;
            }
            if (cancelled_by_ != 0) {
                abandon(number);
            }
            cancelled_by_ = number;
            attempt.cancel();
        }
    }

    /// Asked twice to stop waiting: at once; the claim ends with its lease.
    [[noreturn]] void abandon(int signal_number) {
        cancelled_by_ = signal_number;
        (void)cancelled();
        report_.waited = wall::now() - begun_;
        report_.reason = "interrupted twice; what stands in line ends by itself";
        if (order_.run.status_fd) {
            write_report(*order_.run.status_fd, report_);
        }
        std::_Exit(report_.exit);
    }

    bool accept(held got) {
        held_ = std::move(got);
        if (cancelled_by_ != 0) {
            (void)held_.release();
            return cancelled();
        }
        if (order_.verbose) {
            const double seconds = std::chrono::duration<double>(report_.waited).count();
            say("got " + in_quotes(order_.run.name) + " after " + std::to_string(seconds) + " seconds");
        }
        return true;
    }

    bool refuse(const error& why) {
        if (cancelled_by_ != 0) {
            return cancelled();
        }
        if (why.code() != errc::busy && why.code() != errc::timed_out) {
            return fail(why.message(), exit_code_for(why.code()));
        }
        // Silent, as flock is: cron mails every line.
        if (order_.verbose) {
            say(in_quotes(order_.run.name) + (why.code() == errc::busy ? " is taken" : " stayed taken"));
        }
        report_.outcome = "not_acquired";
        report_.reason = why.message();
        report_.exit = order_.run.skip_ok ? exit_code::ok
                                          : order_.run.conflict_exit_code.value_or(exit_code::not_acquired);
        return false;
    }

    bool cancelled() {
        report_.outcome = "cancelled";
        report_.signal = cancelled_by_;
        report_.exit = exit_code::signal_base + cancelled_by_;
        return false;
    }

    bool fail(const std::string& message, int code) {
        say(message);
        report_.outcome = "error";
        report_.reason = message;
        report_.exit = code;
        return false;
    }

    // Holding.

    /// False when there was no time left for the command, or none wanted any more.
    bool start() {
        block_stop_signals();
        const store_traits traits = store_->traits();
        clock_ = traits.clock;
        held_since_ = wall::now();
        report_.token = held_.token().value();
        validity_ = order_.how.ttl;
        publish_deadline();
        if (!wait_for_time()) {
            return false;
        }

        command_environment environment;
        environment.name = order_.run.name;
        environment.url = store_->url();
        environment.token = report_.token;
        environment.ttl = order_.how.ttl;
        environment.held_by_ancestors = std::getenv(held_variable);
        if (traits.engine == "etcd") {
            environment.etcd_key = held_.engine_key();
        }
        const bool outlives_us = traits.engine != "local";
        if (const std::optional<life_word> word = held_.second_life()) {
            std::string offset(sizeof word->offset, '\0');
            std::memcpy(offset.data(), &word->offset, sizeof word->offset);
            guard_.link.send({message_kind::second_life, 0, 0, std::move(offset), {}}, word->fd);
        }
        if (order_.verbose) {
            say("running " + in_quotes(order_.run.command.front()));
        }
        // Should the guard be gone, serve_once() notices.
        guard_.link.send({message_kind::start,
                          static_cast<std::int32_t>(clock_),
                          outlives_us ? 1 : 0,
                          environment_additions(environment),
                          {}});
        return true;
    }

    /// False when the command is not to be started. With less time left than its end takes it would be ended
    /// at once: we were stopped, or the machine was busy, since the last renewal. The next one is under way.
    bool wait_for_time() {
        while (deadline_ - now(clock_) <= order_.limits.margin + order_.limits.kill_after) {
            if (held_.is_lost()) {
                fail("lost " + in_quotes(order_.run.name) + " before the command could be started",
                     exit_code::lost);
                report_.outcome = "lost";
                return false;
            }
            constexpr int pause_ms = 10;
            pollfd source{signals_.get(), POLLIN, 0};
            ::poll(&source, 1, pause_ms);
            signalfd_siginfo info;
            while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
                if (ends_waiting(static_cast<int>(info.ssi_signo))) {
                    cancelled_by_ = static_cast<int>(info.ssi_signo);
                    return cancelled();
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
            deadline_ = before + valid;
            guard_.link.page().deadline_ns.store(deadline_.time_since_epoch().count());
        } else {
            tell_loss(); // Not every loss is announced: a local hold that was free to take learns of a break
                         // here.
        }
        look_at_ = next_look(before, deadline_, validity_);
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
            if (number == SIGCONT) {
                guard_.link.send({message_kind::resume, 0, 0, {}, {}});
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
                kill_all_descendants(command_);
                ended_ = true;
                fail("its guard process was killed; the command was killed too", exit_code::internal);
            } else {
                note(what);
            }
        }
    }

    void note(const message& what) {
        switch (what.kind) {
        case message_kind::started:
            command_ = what.value;
            break;
        case message_kind::start_failed:
            ended_ = true;
            fail("cannot run " + in_quotes(order_.run.command.front()) + ": " + std::strerror(what.value),
                 exit_code_for_exec(what.value));
            report_.outcome = "not_started";
            break;
        case message_kind::stopped:
            command_stopped_ = true;
            if (!order_.quiet && ::isatty(STDERR_FILENO) == 1) {
                say("the command is stopped; " + in_quotes(order_.run.name) +
                    " is still held. Continue it with: kill -CONT " + std::to_string(::getpid()) +
                    ", end it with Ctrl-C");
            }
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
        ::waitpid(guard_.pid, nullptr, 0);
        if (released || report_.outcome == "lost") {
            return;
        }
        const error& why = released.error();
        if (why.code() == errc::lost && report_.outcome == "completed") {
            fail("lost " + in_quotes(order_.run.name) + " before the command ended", exit_code::lost);
            report_.outcome = "lost";
        } else if (!order_.quiet) {
            say(why.message());
        }
    }

    const keeper_order& order_;
    guard_process& guard_;
    unique_fd signals_;
    unique_fd lost_event_;
    wall::time_point begun_ = wall::now();
    wall::time_point held_since_{};
    run_report report_;
    int cancelled_by_ = 0;
    std::optional<waiting_notice> notice_; ///< Lasts as long as we do: who is asked may answer late.
    std::optional<locks> store_;
    held held_;
    clock_source clock_ = clock_source::boottime;
    nanoseconds validity_{};
    instant deadline_{};
    instant look_at_{};
    pid_t command_ = 0;
    bool command_stopped_ = false;
    bool loss_told_ = false;
    bool ended_ = false;
};

} // namespace

run_report keep(const keeper_order& order, guard_process& guard) {
    return keeper(order, guard).run();
}

instant next_look(instant now, instant deadline, nanoseconds validity) noexcept {
    const instant renewed_at = deadline - validity;
    return std::max(now + validity / 20, renewed_at + validity / 3 + validity / 50);
}

} // namespace holdfast::cli
