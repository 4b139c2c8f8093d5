// Whether this process is still the one that made an object, without a system call.
//
// A page that the kernel clears in every forked child (MADV_WIPEONFORK) holds a number that is drawn once per
// process.
#pragma once

#include <atomic>
#include <cstdint>

namespace holdfast::core {

/// Where the number stands, from the first process_mark() on.
extern std::atomic<std::atomic<std::uint64_t>*> mark_page;

/// This process's number; never 0.
std::uint64_t process_mark() noexcept;

/// True in a child forked after process_mark() returned this number. Two loads.
inline bool forked_since(std::uint64_t mark) noexcept {
    return mark_page.load(std::memory_order_acquire)->load(std::memory_order_relaxed) != mark;
}

} // namespace holdfast::core
