// Exclusive and shared access: thin over core::acquire.
#include <holdfast/locks.hpp>

#include "adjacent.hpp"
#include "face.hpp"
#include "grip.hpp"

namespace holdfast {

using std::chrono::nanoseconds;

namespace {

constexpr std::uint32_t reader = 1;
constexpr std::uint32_t writer = lock_capacity;

/// Apart from what is run after a wait by the short one: see adjacent.hpp.
[[gnu::noinline]] result<held> acquire_the_long_way(core::lockable& state, std::stop_token stop) {
    return core::acquire(state, writer, core::patience_of(std::move(stop)));
}

current_hold latest_of(const std::shared_ptr<core::lockable>& state, core::kept_holds& among) {
    const token newest = among.latest();
    return newest.value() == 0 ? current_hold() : current_hold(state, among, newest);
}

} // namespace

HOLDFAST_AFTER_WAKE result<held> exclusive_access::acquire(std::stop_token stop) {
    if (!stop.stop_requested()) {
        core::grip* const mine = stop.stop_possible() ? state_->acquire_quickly() : state_->acquire_in_line();
        if (mine != nullptr) {
            return held(*mine);
        }
    }
    return acquire_the_long_way(*state_, std::move(stop));
}

result<held> exclusive_access::try_acquire() {
    if (core::grip* const mine = state_->acquire_quickly()) {
        return held(*mine);
    }
    return core::acquire(*state_, writer, core::no_patience());
}

result<held> exclusive_access::acquire_within(nanoseconds duration, std::stop_token stop) {
    return core::acquire_within(*state_, writer, duration, std::move(stop));
}

HOLDFAST_AFTER_WAKE void exclusive_access::lock() {
    if (core::grip* const mine = state_->acquire_in_line()) {
        return state_->exclusive.keep(*mine);
    }
    state_->exclusive.keep(acquire_the_long_way(*state_, {}).value());
}

bool exclusive_access::try_lock() {
    if (core::grip* const mine = state_->acquire_quickly()) {
        state_->exclusive.keep(*mine);
        return true;
    }
    return core::keep_or_throw(state_->exclusive, core::acquire(*state_, writer, core::no_patience()));
}

bool exclusive_access::lock_within(nanoseconds duration) {
    return core::keep_or_throw(state_->exclusive, acquire_within(duration, {}));
}

HOLDFAST_BEFORE_WAKE void exclusive_access::unlock() noexcept {
    if (core::grip* const mine = state_->exclusive.give_back_alone()) {
        const held ends_here(*mine);
        return;
    }
    static_cast<void>(state_->exclusive.give_back().release());
}

current_hold exclusive_access::current() const {
    return latest_of(state_, state_->exclusive);
}

const resource_name& exclusive_access::name() const noexcept {
    return state_->name();
}

result<held> shared_mutex::acquire_shared(std::stop_token stop) {
    if (core::grip* const mine = stop.stop_requested() ? nullptr : state_->share_quickly(reader)) {
        return held(*mine);
    }
    return core::acquire(*state_, reader, core::patience_of(std::move(stop)));
}

result<held> shared_mutex::try_acquire_shared() {
    if (core::grip* const mine = state_->share_quickly(reader)) {
        return held(*mine);
    }
    return core::acquire(*state_, reader, core::no_patience());
}

result<held> shared_mutex::acquire_shared_within(nanoseconds duration, std::stop_token stop) {
    return core::acquire_within(*state_, reader, duration, std::move(stop));
}

void shared_mutex::lock_shared() {
    state_->shared.keep(acquire_shared().value());
}

bool shared_mutex::try_lock_shared() {
    return core::keep_or_throw(state_->shared, try_acquire_shared());
}

bool shared_mutex::lock_shared_within(nanoseconds duration) {
    return core::keep_or_throw(state_->shared, acquire_shared_within(duration, {}));
}

void shared_mutex::unlock_shared() noexcept {
    static_cast<void>(state_->shared.give_back().release());
}

current_hold shared_mutex::current_shared() const {
    return latest_of(state_, state_->shared);
}

} // namespace holdfast
