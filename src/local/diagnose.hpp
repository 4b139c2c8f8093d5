// What `doctor` looks at on the local store: the folder, the kernel, the room that is left. Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <holdfast/store.hpp>

#include "segment.hpp"

namespace holdfast::local {

/// The segment as opening it came out; the path is the one of the URL.
std::vector<finding> diagnose(const std::string& path, const result<std::shared_ptr<segment>>& opened,
                              std::chrono::nanoseconds ttl);

} // namespace holdfast::local
