// What the leader of an election proposes, for whoever observes it.
//
// A proposal lies in a block of its writer's own and becomes visible by one compare-and-swap of the record's
// proposal word. It names the sequence number of the hold that it belongs to, and is nothing once that hold
// has ended; so a leader that was stopped for a while can neither write over its successor's words nor pass
// for it. Lock-free, crash-safe, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "line.hpp"
#include "segment.hpp"

namespace holdfast::local {

/// Replaces what this hold proposes. unchanged: it does not hold (any more), nothing was written.
change_result write_proposal(const segment& in, std::uint32_t record, owner_id by, std::uint32_t slot,
                             std::uint64_t sequence, std::string_view text);

/// What the hold with this number proposes, if anything.
std::optional<std::string> read_proposal(const segment& in, std::uint32_t record, std::uint64_t sequence);

/// Gives the block of a proposal back whose hold has ended.
void drop_stale_proposal(const segment& in, std::uint32_t record);

} // namespace holdfast::local
