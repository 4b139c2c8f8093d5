#include "cli/acquisition.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <holdfast/election.hpp>

#include "cli/child_environment.hpp"
#include "cli/config.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {

acquisition::acquisition(acquisition_request request)
    : request_(std::move(request)), finished_fd_(::eventfd(0, EFD_CLOEXEC)) {
    if (!finished_fd_) {
        throw std::system_error(errno, std::generic_category(), "cannot make an event descriptor");
    }
    if (url_scheme(request_.url) != "local") {
        worker_ = std::thread([this] {
            if (connect()) {
                acquire();
            }
        });
        return;
    }
    if (!connect()) {
        return;
    }
    result<held> first = try_once();
    if (first || request_.nonblock || first.error().code() != errc::busy) {
        finish(std::move(first));
        return;
    }
    worker_ = std::thread([this] { finish(wait_in_line()); });
}

acquisition::~acquisition() {
    cancel();
    if (worker_.joinable()) {
        worker_.join();
    }
}

/// A network store that is down may come back until -w is over. The local one is not waited for: it is opened
/// on the thread that serves signals.
result<locks> acquisition::reach() {
    constexpr clock::duration pause = std::chrono::milliseconds(200);
    const bool patient = request_.wait && !request_.nonblock && url_scheme(request_.url) != "local";
    const auto until = started_ + request_.wait.value_or(clock::duration());
    for (;;) {
        result<locks> connected = try_connect(request_.url, request_.how);
        const clock::duration left = until - clock::now();
        if (connected || connected.error().code() != errc::unavailable || !patient ||
            stop_.stop_requested() || left <= clock::duration::zero()) {
            return connected;
        }
        std::this_thread::sleep_for(std::min(pause, left));
    }
}

bool acquisition::connect() {
    result<locks> connected = reach();
    if (!connected) {
        finish(connected.error());
        return false;
    }
    if (is_held_by_ancestor(request_.held_by_ancestors, connected->url(), request_.name)) {
        finish(
            error(errc::misuse, "a process above this one holds " + in_quotes(request_.name) +
                                    " already, so this would wait for itself; use another name, or run the "
                                    "command without holdfast here"));
        return false;
    }
    const std::lock_guard guard(mutex_);
    store_ = *connected;
    return true;
}

void acquisition::acquire() {
    finish(request_.nonblock ? try_once() : wait_in_line());
}

namespace {

result<held> as_hold(result<leadership> won) {
    if (!won) {
        return won.error();
    }
    return held(std::move(*won));
}

} // namespace

result<held> acquisition::try_once() {
    if (request_.proposal) {
        return as_hold(store_->election(request_.name).try_campaign(*request_.proposal));
    }
    if (request_.slots) {
        return store_->semaphore(request_.name, *request_.slots).try_acquire();
    }
    return request_.shared ? store_->shared_mutex(request_.name).try_acquire_shared()
                           : store_->mutex(request_.name).try_acquire();
}

result<held> acquisition::wait_in_line() {
    const std::stop_token stop = stop_.get_token();
    if (request_.proposal) {
        return as_hold(store_->election(request_.name).campaign(*request_.proposal, stop));
    }
    const auto until = started_ + request_.wait.value_or(clock::duration());
    if (request_.slots) {
        semaphore permits = store_->semaphore(request_.name, *request_.slots);
        return request_.wait ? permits.try_acquire_until(1, until, stop) : permits.acquire(1, stop);
    }
    if (request_.shared) {
        shared_mutex lock = store_->shared_mutex(request_.name);
        return request_.wait ? lock.try_acquire_shared_until(until, stop) : lock.acquire_shared(stop);
    }
    mutex lock = store_->mutex(request_.name);
    return request_.wait ? lock.try_acquire_until(until, stop) : lock.acquire(stop);
}

void acquisition::finish(result<held> outcome) {
    {
        const std::lock_guard guard(mutex_);
        outcome_.emplace(std::move(outcome));
    }
    const std::uint64_t one = 1;
    const ssize_t ignored = ::write(finished_fd_.get(), &one, sizeof one);
    (void)ignored;
}

bool acquisition::finished() const {
    const std::lock_guard guard(mutex_);
    return outcome_.has_value();
}

std::optional<locks> acquisition::store() const {
    const std::lock_guard guard(mutex_);
    return store_;
}

result<held> acquisition::take() {
    if (worker_.joinable()) {
        worker_.join();
    }
    const std::lock_guard guard(mutex_);
    return std::move(*outcome_);
}

} // namespace holdfast::cli
