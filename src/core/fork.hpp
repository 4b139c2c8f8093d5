// Whether this process is still the one that made an object, without a system call.
//
// A page that the kernel clears in every forked child (MADV_WIPEONFORK) holds a number that is drawn once per
// process.
#pragma once

#include <cstdint>

namespace holdfast::core {

/// This process's number; never 0.
std::uint64_t process_mark() noexcept;

/// True in a child forked after process_mark() returned this number. One load.
bool forked_since(std::uint64_t mark) noexcept;

} // namespace holdfast::core
