// The blocking way to a hold: an acquisition driven on the caller's thread.
#pragma once

#include "acquisition.hpp"

namespace holdfast::core {

/// Acquires. See mutex::acquire for what it promises.
result<held> acquire(resource& from, std::uint32_t weight, const patience& how);

/// The same without the resource's turns: always a claim of its own at the store.
result<held> acquire_from_store(resource& from, std::uint32_t weight, const patience& how);

/// misuse when no line of this capacity could ever grant the weight.
result<void> check_weight(const resource& from, std::uint32_t weight);

} // namespace holdfast::core
