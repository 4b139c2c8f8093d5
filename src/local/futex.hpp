// The few futex calls of the local store. All words may lie in memory that other processes share.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <holdfast/store.hpp>

namespace holdfast::local {

/// A system call without the C library's code around it, which is a page and a few cache lines more of what a
/// hand-over finds cold. The result, or minus the error; errno stays as it is.
inline long call_kernel(long number, const void* a, long b, long c, const void* d, long e, long f) noexcept {
#if defined(__x86_64__)
    long result = number;
    register const void* fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = e;
    register long sixth __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    return result;
#else
    const int before = errno;
    const long result = syscall(number, a, b, c, d, e, f);
    return result == -1 ? -std::exchange(errno, before) : result;
#endif
}

/// Wakes up to `count` waiters.
inline void futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept {
    call_kernel(SYS_futex, &word, FUTEX_WAKE, count, nullptr, 0, 0);
}
inline void futex_wake_all(std::atomic<std::uint32_t>& word) noexcept {
    futex_wake(word, std::numeric_limits<int>::max());
}

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

/// The same, as far as it has turned out up to now: one load.
bool waits_for_many() noexcept;

/// For tests: behave as if the kernel had no futex_waitv.
void pretend_no_waitv(bool pretend) noexcept;

} // namespace holdfast::local
