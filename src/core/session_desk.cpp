#include "session_desk.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

namespace holdfast::core {

namespace {

/// Whoever opens must come back with an answer, because others wait for it.
session_desk::outcome open_session(const session_terms& terms, instant give_up) {
    try {
        return session::open(terms, give_up);
    } catch (const std::system_error& failure) {
        return error(errc::unavailable, std::string("opening a session: ") + failure.what());
    }
}

} // namespace

session_desk::outcome session_desk::current(instant give_up) {
    parking_place place;
    for (;;) {
        place.reset();
        {
            const latch_guard locked(guard_);
            std::erase(waiting_, &place);
            if (session_ && session_->alive()) {
                return session_;
            }
            if (!opening_) {
                opening_ = true;
                break;
            }
            if (now() >= give_up) {
                return error(errc::unavailable, shown_url_ + " did not open a session in time");
            }
            waiting_.push_back(&place);
        }
        place.wait_until(give_up, terms_.traits.clock);
    }
    // Others wait for this one, with limits of their own: never longer than one operation.
    auto opened = open_session(terms_, std::min(give_up, now() + terms_.op_timeout));
    std::shared_ptr<session> replaced; // Ended outside the lock: its destructor talks to the store.
    const latch_guard locked(guard_);
    opening_ = false;
    if (opened && closed_) {
        replaced = *opened;
        opened = error(errc::unavailable, shown_url_ + " is not used any more");
    } else if (opened) {
        replaced = std::exchange(session_, *opened);
    }
    for (parking_place* other : waiting_) {
        other->notify();
    }
    waiting_.clear();
    return opened;
}

std::shared_ptr<session> session_desk::present() {
    const latch_guard locked(guard_);
    return session_ && session_->alive() ? session_ : nullptr;
}

void session_desk::in_background(instant give_up, taker then) {
    if (auto here = present()) {
        return then(std::move(here));
    }
    std::shared_ptr<opener> before; // Has served its takers, and is about to end.
    bool no_thread = false;
    {
        const latch_guard locked(guard_);
        takers_.push_back(std::move(then));
        if (std::exchange(opening_for_takers_, true)) {
            return;
        }
        const auto fresh = std::make_shared<opener>();
        try {
            fresh->thread = quiet_thread::start([self = shared_from_this(), fresh, give_up] {
                self->open_for_takers(give_up);
                fresh->over.store(true);
                fresh->place.notify();
            });
            before = std::exchange(opener_, fresh);
        } catch (const std::system_error&) {
            no_thread = true;
        }
    }
    if (no_thread) {
        open_for_takers(now()); // Nobody waits here: they hear that it is unavailable.
    }
    if (before) {
        before->thread.join();
    }
}

void session_desk::open_for_takers(instant give_up) {
    const auto opened = current(give_up);
    std::vector<taker> takers;
    {
        const latch_guard locked(guard_);
        takers.swap(takers_);
        opening_for_takers_ = false;
    }
    for (const auto& one : takers) {
        one(opened);
    }
}

void session_desk::close() noexcept {
    const instant give_up = now() + terms_.release_timeout;
    std::shared_ptr<session> last;
    std::shared_ptr<opener> opening;
    {
        const latch_guard locked(guard_);
        closed_ = true;
        last = std::exchange(session_, nullptr);
        opening = std::exchange(opener_, nullptr);
    }
    last.reset();
    if (!opening) {
        return;
    }
    if (opening->thread.runs_here()) { // The last taker went on it.
        opening->thread.detach();
        return;
    }
    while (!opening->over.load() && now() < give_up) {
        opening->place.reset();
        if (!opening->over.load()) {
            opening->place.wait_until(give_up, terms_.traits.clock);
        }
    }
    if (opening->over.load()) {
        opening->thread.join();
    } else {
        opening->thread.detach();
    }
}

} // namespace holdfast::core
