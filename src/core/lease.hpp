// The arithmetic of one lease: until when a hold is certain, and that a lost lease stays lost.
//
// One atomic number, so the timer, the renewal and the inline check agree without a lock. Thread-safe. Time
// is passed in. It knows nothing of the engine: it counts from before the request was sent, less drift and
// margin.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include <holdfast/store.hpp>

namespace holdfast::core {

/// How far two clocks' rates may differ (1 %), and what a reading may cost.
inline constexpr int drift_percent = 1;
inline constexpr std::chrono::nanoseconds clock_margin = std::chrono::milliseconds(2);

/// `at + duration`, or the last instant there is: a caller may say hours::max().
constexpr instant saturating_add(instant at, std::chrono::nanoseconds duration) noexcept {
    return duration > instant::max() - at ? instant::max() : at + duration;
}

/// How often a lease is renewed. One until death is not, but what stands behind it is looked at all the same.
constexpr std::chrono::nanoseconds renewal_interval(std::chrono::nanoseconds ttl) noexcept {
    return ttl == until_death ? std::chrono::minutes(1) : ttl / 3;
}

/// The last instant at which a lease granted for `ttl` by a request sent at `sent_at` is certain to stand.
constexpr instant deadline_of(instant sent_at, std::chrono::nanoseconds ttl) noexcept {
    if (ttl == until_death) {
        return instant::max();
    }
    return sent_at + ttl / 100 * (100 - drift_percent) - clock_margin;
}

class lease {
  public:
    /// Starts or restarts the count. Only before anybody relies on it.
    void start(instant deadline) noexcept {
        deadline_.store(deadline.time_since_epoch().count());
        last_.store(deadline.time_since_epoch().count());
    }

    /// Moves the deadline, never backwards. False, for ever, once it had passed: a late success revives
    /// nothing.
    bool extend(instant at, instant deadline) noexcept {
        const std::int64_t wanted = deadline.time_since_epoch().count();
        std::int64_t current = deadline_.load();
        for (;;) {
            if (!standing(current, at)) {
                return false;
            }
            if (wanted <= current || deadline_.compare_exchange_weak(current, wanted)) {
                may_reach(deadline);
                return true;
            }
        }
    }

    /// A renewal is about to be sent that would move the deadline to here. Whether its answer arrives or not,
    /// the store may keep the lease until then.
    void may_reach(instant deadline) noexcept {
        const std::int64_t wanted = deadline.time_since_epoch().count();
        std::int64_t last = last_.load();
        while (last < wanted && !last_.compare_exchange_weak(last, wanted)) {
        }
    }

    /// What is left at this instant; zero, for ever, once nothing was left or end() was called; until_death
    /// without an end.
    std::chrono::nanoseconds remaining(instant at) noexcept {
        std::int64_t current = deadline_.load();
        if (!standing(current, at)) {
            return std::chrono::nanoseconds::zero();
        }
        if (current == instant::max().time_since_epoch().count()) {
            return until_death;
        }
        return std::chrono::nanoseconds(current - at.time_since_epoch().count());
    }

    /// Ends it now.
    void end() noexcept { deadline_.store(ended); }

    /// The latest deadline that may have been reached: also after the end the store may keep the lease until
    /// about then.
    instant last_deadline() const noexcept { return instant(std::chrono::nanoseconds(last_.load())); }

    /// The deadline, or nothing certain (the epoch) once ended.
    instant deadline() const noexcept { return instant(std::chrono::nanoseconds(deadline_.load())); }

  private:
    // Whoever sees the deadline pass writes it down, so that no renewal in flight can move it afterwards.
    bool standing(std::int64_t& current, instant at) noexcept {
        while (current != ended && current <= at.time_since_epoch().count()) {
            if (deadline_.compare_exchange_weak(current, ended)) {
                current = ended;
            }
        }
        return current != ended;
    }

    static constexpr std::int64_t ended = 0;
    std::atomic<std::int64_t> deadline_{ended};
    std::atomic<std::int64_t> last_{ended}; ///< Only rises, from start to start.
};

} // namespace holdfast::core
