#include "loop.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "core/boottime.hpp"
#include "core/quiet_thread.hpp"

namespace holdfast::redis {

using core::latch_guard;
using std::chrono::milliseconds;

namespace {

// How long a request may wait for the thread that made it to come and drive, before the background thread
// does.
constexpr milliseconds patience{2};
// A connection that rested this long may have been closed by the server: look before writing into it.
constexpr milliseconds rested{20};
constexpr std::chrono::hours longest_sleep{1};

} // namespace

// One thread runs the context at a time, but any thread may post to it.
loop::loop() : context_(std::make_unique<boost::asio::io_context>(1)) {
    context_->get_executor().on_work_started(); // It never runs dry, so it never has to be restarted.
}

std::shared_ptr<loop> loop::start() {
    std::shared_ptr<loop> made(new loop);
    // The thread keeps the loop, because the loop's last user may be an order that this very thread runs.
    made->thread_ = core::start_quiet_thread([made] { made->background(); });
    return made;
}

loop::~loop() = default;

void loop::stop() {
    {
        const latch_guard locked(guard_);
        stopping_ = true;
    }
    asked_.notify();
    tick_.notify();
    poke();
    if (thread_.get_id() == std::this_thread::get_id()) {
        thread_.detach();
    } else if (thread_.joinable()) {
        thread_.join();
    }
}

void loop::submit(std::function<void()> order) {
    bool poke_leader = false;
    bool ask = false;
    {
        const latch_guard locked(guard_);
        orders_.push_back(std::move(order));
        ask = !led_;
        poke_leader = led_ && !poked_;
        poked_ = poked_ || poke_leader;
    }
    if (poke_leader) {
        poke();
    } else if (ask) {
        asked_.notify();
    }
}

void loop::poke() {
    boost::asio::post(*context_, [] {});
}

void loop::drive(parking_place& place, instant until) {
    follower me{.place = place, .sleep = {}, .promoted = false};
    bool following = false;
    for (;;) {
        {
            const latch_guard locked(guard_);
            if (me.promoted || !led_) {
                // A promoted follower has been taken off the list, and led_ was left set for it.
                led_ = true;
                leading_for_ = &place;
                if (following && !me.promoted) {
                    std::erase(followers_, &me);
                }
                break;
            }
            if (place.notified() || boottime() >= until) {
                if (following) {
                    std::erase(followers_, &me);
                }
                return;
            }
            if (!following) {
                followers_.push_back(&me);
                following = true;
            }
            // Under the guard, as wake() is: what happens after this look wakes us again.
            me.sleep.reset();
        }
        me.sleep.wait_until(until, clock_source::boottime);
    }
    lead(&place, until);
    pass_on();
}

void loop::pass_on() {
    bool ask = false;
    {
        const latch_guard locked(guard_);
        leading_for_ = nullptr;
        ++turns_;
        last_turn_ = boottime();
        if (!followers_.empty()) {
            // Lines are first come first served: who came last stays longest, and leads for longest.
            follower* next = followers_.back();
            followers_.pop_back();
            next->promoted = true;
            next->sleep.notify();
            return;
        }
        led_ = false;
        abandoned_ = expected_ > 0;
        ask = abandoned_ || !orders_.empty();
    }
    if (ask) {
        asked_.notify();
        tick_.notify();
    }
}

void loop::wake(parking_place& place) {
    const latch_guard locked(guard_);
    for (follower* each : followers_) {
        if (&each->place == &place) {
            each->sleep.notify();
        }
    }
}

void loop::interrupt(parking_place& place) {
    wake(place);
    bool leads = false;
    {
        const latch_guard locked(guard_);
        leads = leading_for_ == &place;
    }
    if (leads) {
        poke();
    }
}

void loop::run_orders() {
    {
        const latch_guard locked(guard_);
        poked_ = false;
        running_orders_.swap(orders_);
    }
    for (const auto& order : running_orders_) {
        order();
    }
    running_orders_.clear();
}

void loop::run_timers(instant at) {
    while (!timers_.empty() && timers_.begin()->first <= at) {
        const auto due = timers_.extract(timers_.begin());
        due.mapped()();
    }
}

// Without a place it is the background thread that leads, for as long as something waits for I/O.
void loop::lead(parking_place* place, instant until) {
    instant at = boottime();
    if (at - last_turn_ > rested) {
        context_->poll();
    }
    for (;;) {
        run_orders();
        at = boottime();
        run_timers(at);
        if (flush_) {
            flush_();
        }
        if (place != nullptr) {
            if (place->notified() || at >= until) {
                return;
            }
        } else {
            const latch_guard locked(guard_);
            if (stopping_ || (expected_ == 0 && orders_.empty())) {
                return;
            }
        }
        instant wake_at = std::min(until, at + longest_sleep);
        if (!timers_.empty()) {
            wake_at = std::min(wake_at, timers_.begin()->first);
        }
        context_->run_one_for(std::max(wake_at - at, std::chrono::nanoseconds(0)));
    }
}

void loop::background() {
    std::uint64_t seen = 0;
    for (;;) {
        asked_.wait_until(instant::max(), clock_source::boottime);
        asked_.reset();
        // Somebody has submitted. Its thread is usually about to drive: taking the lead at once would only
        // put a hop in its way. So look on in ticks while there are turns, and lead what stays undone for a
        // whole tick.
        for (bool watching = true; watching;) {
            tick_.wait_until(boottime() + patience, clock_source::boottime);
            tick_.reset();
            bool take = false;
            {
                const latch_guard locked(guard_);
                if (stopping_) {
                    return;
                }
                // Only while nobody leads are these ours to read.
                const bool undone = !led_ && (expected_ > 0 || !orders_.empty());
                take = undone && (abandoned_ || turns_ == seen);
                watching = !led_ && !take && turns_ != seen;
                seen = turns_;
                led_ = led_ || take;
                abandoned_ = false;
            }
            if (take) {
                lead(nullptr, instant::max());
                pass_on();
            }
        }
    }
}

} // namespace holdfast::redis
