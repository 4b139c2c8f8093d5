// Hints that one resource's line or proposal may have changed, told by the store's thread. Thread-safe.
#pragma once

#include <functional>
#include <memory>

#include "engine.hpp"

namespace holdfast::local {

/// Calls `changed` until the returned object is destroyed; then no call is under way any more, unless it is
/// destroyed by the call itself.
std::shared_ptr<void> watch_record(const std::shared_ptr<engine>& on, std::uint32_t record,
                                   std::function<void()> changed);

} // namespace holdfast::local
