#include "cli/waiting.hpp"

#include <array>
#include <cstdlib>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <utility>

#include "cli/child_environment.hpp"
#include "cli/exit_code.hpp"
#include "cli/keeper_signals.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {

waiting::waiting(const keeper_order& order, const guard_process& guard, int signals, run_report& report)
    : order_(order), guard_(guard), signals_(signals), report_(report) {}

std::optional<held> waiting::run() {
    acquisition attempt(request());
    notice_.emplace(order_.run.name, !order_.quiet && ::isatty(STDERR_FILENO) == 1);
    const bool finished = until_finished(attempt);
    notice_->is_over();
    report_.waited = std::chrono::steady_clock::now() - begun_;
    if (!finished) {
        return std::nullopt;
    }
    result<held> outcome = attempt.take();
    store_ = attempt.store();
    if (outcome) {
        return accept(std::move(*outcome));
    }
    refuse(outcome.error());
    return std::nullopt;
}

acquisition_request waiting::request() const {
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
    return request;
}

/// False when the guard is gone: without it nothing may be run.
bool waiting::until_finished(acquisition& attempt) {
    while (!attempt.finished()) {
        std::array<pollfd, 3> sources{
            {{signals_, POLLIN, 0}, {attempt.fd(), POLLIN, 0}, {guard_.link.fd(), POLLIN, 0}}};
        ::poll(sources.data(), sources.size(), milliseconds_until(notice_->due_in()));
        notice_->show_if_due(attempt);
        if (sources[0].revents != 0) {
            cancel_by_signal(attempt);
        }
        if (sources[2].revents != 0) {
            attempt.cancel();
            report_failure(report_, "its guard process was killed", exit_code::internal);
            return false;
        }
    }
    return true;
}

void waiting::cancel_by_signal(acquisition& attempt) {
    signalfd_siginfo info;
    while (::read(signals_, &info, sizeof info) == sizeof info) {
        const int number = static_cast<int>(info.ssi_signo);
        if (!ends_waiting(number)) {
            continue;
        }
        if (std::exchange(cancelled_by_, number) != 0) {
            abandon();
        }
        attempt.cancel();
    }
}

/// Asked twice to stop waiting: at once; the claim ends with its lease.
void waiting::abandon() {
    report_cancelled(report_, cancelled_by_);
    report_.waited = std::chrono::steady_clock::now() - begun_;
    report_.reason = "interrupted twice; what stands in line ends by itself";
    if (order_.run.status_fd) {
        write_report(*order_.run.status_fd, report_);
    }
    std::_Exit(report_.exit);
}

std::optional<held> waiting::accept(held got) {
    if (cancelled_by_ != 0) {
        (void)got.release();
        report_cancelled(report_, cancelled_by_);
        return std::nullopt;
    }
    if (order_.verbose) {
        const double seconds = std::chrono::duration<double>(report_.waited).count();
        say("got " + in_quotes(order_.run.name) + " after " + std::to_string(seconds) + " seconds");
    }
    return got;
}

void waiting::refuse(const error& why) {
    if (cancelled_by_ != 0) {
        report_cancelled(report_, cancelled_by_);
    } else if (why.code() != errc::busy && why.code() != errc::timed_out) {
        report_failure(report_, why.message(), exit_code_for(why.code()));
    } else {
        // Silent, as flock is: cron mails every line.
        if (order_.verbose) {
            say(in_quotes(order_.run.name) + (why.code() == errc::busy ? " is taken" : " stayed taken"));
        }
        report_.outcome = "not_acquired";
        report_.reason = why.message();
        report_.exit = order_.run.skip_ok ? exit_code::ok
                                          : order_.run.conflict_exit_code.value_or(exit_code::not_acquired);
    }
}

} // namespace holdfast::cli
