// Permits: thin over core::acquire.
#include <holdfast/locks.hpp>

#include "face.hpp"

namespace holdfast {

result<held> semaphore::acquire(std::uint32_t permits, std::stop_token stop) {
    if (core::grip* const mine = stop.stop_requested() ? nullptr : state_->share_quickly(permits)) {
        return held(*mine);
    }
    return core::acquire(*state_, permits, core::patience_of(std::move(stop)));
}

result<held> semaphore::try_acquire(std::uint32_t permits) {
    if (core::grip* const mine = state_->share_quickly(permits)) {
        return held(*mine);
    }
    return core::acquire(*state_, permits, core::no_patience());
}

result<held> semaphore::acquire_within(std::uint32_t permits, std::chrono::nanoseconds duration,
                                       std::stop_token stop) {
    return core::acquire_within(*state_, permits, duration, std::move(stop));
}

const resource_name& semaphore::name() const noexcept {
    return state_->name();
}

std::uint32_t semaphore::capacity() const noexcept {
    return state_->capacity();
}

} // namespace holdfast
