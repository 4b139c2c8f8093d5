#include "futex.hpp"

#include <algorithm>
#include <array>
#include <ctime>

#include "core/adjacent.hpp"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

namespace holdfast::local {
namespace {

std::atomic<bool> waitv_missing{false};

timespec to_timespec(instant at) noexcept {
    const auto since = std::max(at.time_since_epoch(), std::chrono::nanoseconds::zero());
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    return {.tv_sec = static_cast<time_t>(seconds.count()),
            .tv_nsec = static_cast<long>((since - seconds).count())};
}

/// As the kernel has it since 5.16; older headers lack it.
struct waitv_entry {
    std::uint64_t value;
    std::uint64_t address;
    std::uint32_t flags;
    std::uint32_t reserved;
};
constexpr std::uint32_t waitv_32_bits = 2;

[[gnu::noinline]] bool wait_for_first(std::span<const futex_watch> watches, instant until) noexcept {
    if (watches.size() > 1) {
        until = std::min(until, now(clock_source::monotonic) + fallback_nap);
    }
    const timespec at = to_timespec(until);
    return call_kernel(SYS_futex, watches[0].word, FUTEX_WAIT_BITSET, watches[0].value, &at, 0,
                       FUTEX_BITSET_MATCH_ANY) == 0;
}

} // namespace

void pretend_no_waitv(bool pretend) noexcept {
    waitv_missing.store(pretend);
}

bool has_futex_waitv() noexcept {
    if (waitv_missing.load()) {
        return false;
    }
    // Two words that do not have the value: known at once, without a sleep.
    std::atomic<std::uint32_t> word{0};
    const waitv_entry entry{1, reinterpret_cast<std::uintptr_t>(&word), waitv_32_bits, 0};
    const std::array<waitv_entry, 2> entries{entry, entry};
    return syscall(SYS_futex_waitv, entries.data(), entries.size(), 0, nullptr, CLOCK_MONOTONIC) >= 0 ||
           errno == EAGAIN;
}

bool waits_for_many() noexcept {
    return !waitv_missing.load(std::memory_order_relaxed);
}

HOLDFAST_AFTER_WAKE bool futex_wait_any(std::span<const futex_watch> watches, instant until) noexcept {
    if (watches.empty()) {
        return false;
    }
    if (watches.size() > 1 && waits_for_many()) {
        std::array<waitv_entry, max_watches> entries{};
        const std::size_t count = std::min(watches.size(), max_watches);
        for (std::size_t i = 0; i < count; ++i) {
            entries[i] = {watches[i].value, reinterpret_cast<std::uintptr_t>(watches[i].word), waitv_32_bits,
                          0};
        }
        const timespec at = to_timespec(until);
        const long woken = call_kernel(SYS_futex_waitv, entries.data(), static_cast<long>(count), 0, &at,
                                       CLOCK_MONOTONIC, 0);
        if (woken != -ENOSYS && woken != -EPERM && woken != -EACCES) [[likely]] {
            return woken == 0;
        }
        waitv_missing.store(true, std::memory_order_relaxed);
    }
    return wait_for_first(watches, until);
}

} // namespace holdfast::local
