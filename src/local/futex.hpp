// The few futex calls of the local store. All words may lie in memory that other processes share.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include <holdfast/store.hpp>

namespace holdfast::local {

/// Wakes up to `count` waiters.
void futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept;
void futex_wake_all(std::atomic<std::uint32_t>& word) noexcept;

/// One word to sleep on while it has this value.
struct futex_watch {
    std::atomic<std::uint32_t>* word = nullptr;
    std::uint32_t value = 0;
};

/// The most words one wait may name.
inline constexpr std::size_t max_watches = 128;

/// Sleeps until any word changed and was woken, or until the instant on CLOCK_MONOTONIC; may return early.
/// Where the kernel has no futex_waitv (before 5.16, or barred by a seccomp profile) only the first word
/// wakes it, and it returns after fallback_nap at the latest, so that the caller looks at the others.
/// true: a wake of the first word ended it and, as far as the kernel tells, of no other. The kernel goes
/// through the words in order and tells the last that was woken.
bool futex_wait_any(std::span<const futex_watch> watches, instant until) noexcept;

inline constexpr std::chrono::milliseconds fallback_nap{10};

/// Whether the kernel lets us wait on several words.
bool has_futex_waitv() noexcept;

/// For tests: behave as if the kernel had no futex_waitv.
void pretend_no_waitv(bool pretend) noexcept;

} // namespace holdfast::local
