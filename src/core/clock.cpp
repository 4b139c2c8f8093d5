#include <holdfast/store.hpp>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "adjacent.hpp"
#include "surroundings.hpp"

namespace holdfast {

HOLDFAST_AFTER_WAKE instant now(clock_source source) noexcept {
    if (core::surroundings* const sim = core::simulated()) {
        return sim->now();
    }
    timespec at{};
    clock_gettime(source == clock_source::boottime ? CLOCK_BOOTTIME : CLOCK_MONOTONIC, &at);
    return instant(std::chrono::seconds(at.tv_sec) + std::chrono::nanoseconds(at.tv_nsec));
}

void parking_place::notify() noexcept {
    if (word_.exchange(called, std::memory_order_acq_rel) == asleep) {
        if (core::surroundings* const sim = core::simulated()) {
            sim->wake(&word_);
            return;
        }
        syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }
}

void parking_place::wait_until(instant until, clock_source source) noexcept {
    static_assert(sizeof(word_) == sizeof(std::uint32_t), "the kernel reads a plain 32-bit word");
    if (notified()) {
        return;
    }
    // A futex cannot wait on BOOTTIME: what is left is waited for on MONOTONIC, late after a suspend, never
    // early.
    constexpr std::chrono::nanoseconds longest = std::chrono::hours(1);
    const std::chrono::nanoseconds left = std::min(until - now(source), longest);
    if (left <= std::chrono::nanoseconds::zero()) {
        return;
    }
    const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
    const timespec relative{.tv_sec = static_cast<time_t>(seconds.count()),
                            .tv_nsec = static_cast<long>((left - seconds).count())};
    std::uint32_t expected = idle;
    if (word_.compare_exchange_strong(expected, asleep, std::memory_order_acq_rel)) {
        if (core::surroundings* const sim = core::simulated()) {
            sim->sleep(&word_, until);
        } else {
            syscall(SYS_futex, &word_, FUTEX_WAIT_PRIVATE, asleep, &relative, nullptr, 0);
        }
        expected = asleep;
        word_.compare_exchange_strong(expected, idle, std::memory_order_acq_rel);
    }
}

} // namespace holdfast
