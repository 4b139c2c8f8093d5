// What people see of a segment: every line, read without changing anything.
#pragma once

#include <string>
#include <vector>

#include <holdfast/store.hpp>

#include "segment.hpp"

namespace holdfast::local {

/// Every resource with a claim in line, sorted by name. Errors: unavailable, when the segment is damaged.
result<std::vector<resource_status>> list_segment(const segment& in);

/// The line of one name, without claims when it is free. Errors: unavailable, when the segment is damaged.
result<resource_status> show_name(const segment& in, const std::string& name);

} // namespace holdfast::local
