#include "rpc_loop.hpp"

#include <algorithm>
#include <utility>

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include "core/boottime.hpp"
#include "core/quiet_thread.hpp"
#include "grpc_time.hpp"
#include "tsan_words.hpp"

namespace holdfast::etcd {

namespace {

// For how long nobody has to have led before the background thread does. Callers who take a lock, work and
// release it come back sooner; what arrives in between waits for so long at most.
constexpr std::chrono::milliseconds patience{2};

thread_local const call_loop* led_by_this_thread = nullptr;

} // namespace

call_loop::call_loop()
    : queue_(std::make_unique<grpc::CompletionQueue>()), alarm_(std::make_unique<grpc::Alarm>()) {
    thread_ = core::start_quiet_thread([this] { background(); });
}

call_loop::~call_loop() {
    {
        const std::lock_guard locked(guard_);
        stopping_ = true;
        kick_leader();
    }
    asked_.notify();
    thread_.join();
    queue_->Shutdown();
    void* what = nullptr;
    bool ok = false;
    while (queue_->Next(&what, &ok)) {
        static_cast<ticket*>(what)->ended(ok);
    }
}

void call_loop::kick::ended(bool) {
    const std::lock_guard locked(of.guard_);
    of.kicked_ = false;
}

// The alarm can be set again only once it has gone off; until then the leader is on its way to look anyway.
void call_loop::kick_leader() noexcept {
    if (!std::exchange(kicked_, true)) {
        alarm_->Set(queue_.get(), gpr_now(GPR_CLOCK_MONOTONIC), static_cast<ticket*>(&kick_));
    }
}

void call_loop::drive(parking_place& place, instant until) {
    if (led_by_this_thread == this) {
        drive_from_inside(place, until);
        return;
    }
    follower me{.place = place, .sleep = {}, .promoted = false};
    bool following = false;
    for (;;) {
        {
            const std::lock_guard locked(guard_);
            if (me.promoted || !led_) {
                // Who is promoted has been taken off the list, and led_ was left set for it.
                if (following && !me.promoted) {
                    std::erase(followers_, &me);
                }
                led_ = true;
                leading_for_ = &place;
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
            me.sleep.reset(); // Under the guard, as in wake(): what happens after this look wakes us again.
        }
        me.sleep.wait_until(until, clock_source::boottime);
    }
    lead(&place, until);
    pass_on();
}

void call_loop::drive_from_inside(parking_place& place, instant until) {
    parking_place* outer = nullptr;
    {
        const std::lock_guard locked(guard_);
        outer = std::exchange(leading_for_, &place);
    }
    lead(&place, until);
    const std::lock_guard locked(guard_);
    leading_for_ = outer;
}

void call_loop::begins() noexcept {
    under_way_.fetch_add(1, std::memory_order_relaxed);
    if (!in_use_.load(std::memory_order_relaxed) && !in_use_.exchange(true)) {
        asked_.notify();
    }
}

void call_loop::hurry() noexcept {
    {
        const std::lock_guard locked(guard_);
        deserted_ = true;
    }
    asked_.notify();
}

void call_loop::pass_on() {
    bool ask = false;
    {
        const std::lock_guard locked(guard_);
        leading_for_ = nullptr;
        ++turns_;
        if (!followers_.empty()) {
            // Lines are first come first served: who came last stays longest, and leads for longest.
            follower* next = followers_.back();
            followers_.pop_back();
            next->promoted = true;
            next->sleep.notify();
            return;
        }
        led_ = false;
        deserted_ = under_way_.load(std::memory_order_relaxed) > 0;
        ask = deserted_ || asleep_;
    }
    if (ask) {
        asked_.notify();
    }
}

void call_loop::wake(parking_place& place) noexcept {
    const std::lock_guard locked(guard_);
    if (leading_for_ == &place) {
        if (led_by_this_thread != this) {
            kick_leader();
        }
        return;
    }
    for (follower* each : followers_) {
        if (&each->place == &place) {
            each->sleep.notify();
        }
    }
}

bool call_loop::next(void** what, bool* ok, instant until) {
    [[maybe_unused]] const unseen_scope unseen;
    return queue_->AsyncNext(what, ok, grpc_deadline(until)) == grpc::CompletionQueue::GOT_EVENT;
}

// Without a place it is the background thread that leads, until a caller comes who may.
void call_loop::lead(parking_place* place, instant until) {
    const call_loop* const before = std::exchange(led_by_this_thread, this);
    for (;;) {
        if (place != nullptr) {
            if (place->notified() || boottime() >= until) {
                break;
            }
        } else {
            const std::lock_guard locked(guard_);
            if (stopping_ || !followers_.empty()) {
                break;
            }
        }
        void* what = nullptr;
        bool ok = false;
        if (next(&what, &ok, until)) {
            static_cast<ticket*>(what)->ended(ok);
        }
    }
    led_by_this_thread = before;
}

void call_loop::background() {
    bool deep = true;
    std::uint64_t seen = 0;
    for (;;) {
        asked_.wait_until(deep ? instant::max() : boottime() + patience, clock_source::boottime);
        asked_.reset();
        bool take = false;
        {
            const std::lock_guard locked(guard_);
            if (stopping_) {
                return;
            }
            take = !led_ && (deserted_ || (!deep && turns_ == seen));
            deep = led_ && turns_ == seen; // By one caller, who has been waiting for a whole tick.
            asleep_ = deep;
            seen = turns_;
            led_ = led_ || take;
            deserted_ = false;
        }
        if (take) {
            lead(nullptr, instant::max());
            pass_on();
        }
    }
}

} // namespace holdfast::etcd
