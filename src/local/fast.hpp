// The synchronous way in and out of a lock: one compare-and-swap each for who is there alone, exclusive or
// reader, no clock read, no system call. Whoever comes to readers, and every user of a semaphore, rewrites
// the line, which takes no system call either.
#pragma once

#include <memory>

#include <holdfast/store.hpp>

#include "followed.hpp"
#include "seat.hpp"

namespace holdfast::local {

/// For claims of this shape on this record; null where claims of it are no use of the public face.
std::shared_ptr<fast_path> make_fast_path(std::shared_ptr<seat> on, std::shared_ptr<followed_holds> followed,
                                          std::uint32_t record, std::uint32_t weight, std::uint32_t capacity);

} // namespace holdfast::local
