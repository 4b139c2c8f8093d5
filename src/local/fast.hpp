// The synchronous way in and out of an exclusive lock: one compare-and-swap each, no clock read, no system
// call.
#pragma once

#include <memory>

#include <holdfast/store.hpp>

#include "followed.hpp"
#include "seat.hpp"

namespace holdfast::local {

/// For exclusive claims of the kind *lock* on this record.
std::shared_ptr<fast_path> make_fast_path(std::shared_ptr<seat> on, std::shared_ptr<followed_holds> followed,
                                          std::uint32_t record);

} // namespace holdfast::local
