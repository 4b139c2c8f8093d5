#include "futex.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

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

} // namespace

[[gnu::hot]] void futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept {
    syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0);
}

[[gnu::hot]] void futex_wake_all(std::atomic<std::uint32_t>& word) noexcept {
    futex_wake(word, INT_MAX);
}

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

[[gnu::hot]] bool futex_wait_any(std::span<const futex_watch> watches, instant until) noexcept {
    if (watches.empty()) {
        return false;
    }
    if (watches.size() > 1 && !waitv_missing.load(std::memory_order_relaxed)) {
        std::array<waitv_entry, max_watches> entries{};
        const std::size_t count = std::min(watches.size(), max_watches);
        for (std::size_t i = 0; i < count; ++i) {
            entries[i] = {watches[i].value, reinterpret_cast<std::uintptr_t>(watches[i].word), waitv_32_bits,
                          0};
        }
        const timespec at = to_timespec(until);
        const long woken = syscall(SYS_futex_waitv, entries.data(), count, 0, &at, CLOCK_MONOTONIC);
        if (woken >= 0 || (errno != ENOSYS && errno != EPERM && errno != EACCES)) {
            return woken == 0;
        }
        waitv_missing.store(true, std::memory_order_relaxed);
    }
    if (watches.size() > 1) {
        until = std::min(until, now(clock_source::monotonic) + fallback_nap);
    }
    const timespec at = to_timespec(until);
    return syscall(SYS_futex, watches[0].word, FUTEX_WAIT_BITSET, watches[0].value, &at, nullptr,
                   FUTEX_BITSET_MATCH_ANY) == 0;
}

} // namespace holdfast::local
