// What administrators change in a line: ending holds, and another number of permits.
//
// Each is one edit of the line like any other, so it needs no more privilege than writing to the segment does
// and cannot leave anything half done. Thread-safe.
#pragma once

#include <optional>

#include <holdfast/store.hpp>

#include "seat.hpp"

namespace holdfast::local {

/// Errors: unavailable (the segment is damaged, or no block is free).
result<std::size_t> break_holds(const seat& by, const resource_name& name, std::optional<token> only);

/// Errors: as above, and misuse.
result<void> resize(const seat& by, const resource_name& name, std::uint32_t permits);

} // namespace holdfast::local
