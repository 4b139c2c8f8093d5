// The two questions that decide how long a hand-over takes, answered straight from the segment's words,
// without a copy of the line: who comes after me, and do I hold now.
//
// After a hold of milliseconds all of this is cold: every cache line and page that is touched between the
// release and the wake, and again between the wake and the return of the waiter, costs more than the work on
// it. So both look at the head of the line only, and leave whatever is not plain to line.hpp. Lock-free;
// thread-safe.
#pragma once

#include <cstdint>
#include <optional>

#include "segment.hpp"

namespace holdfast::local {

/// Ends the exclusive hold at the head of a lock's line and wakes the next, if that one is exclusive as well;
/// should its session be marked expired, the line is repaired afterwards. Or frees the name, if it is a sole
/// hold. false: nothing was changed, because this is another case, or because somebody else was quicker:
/// remove_claim() looks at the whole line.
bool hand_over(const segment& in, std::uint32_t record, owner_id by, std::uint32_t slot,
               std::uint64_t sequence) noexcept;

/// The same for the plainest case, by addresses alone: exactly one other waits, and nobody has come or gone
/// since he came. His slot, whose session is not looked at: should it be marked expired, the line is to be
/// repaired.
std::optional<std::uint32_t> hand_to_next(segment_layout& in, record& at, std::uint32_t slot,
                                          std::uint64_t sequence) noexcept;

/// Whether the session in this slot is not marked expired.
inline bool is_alive(const segment_layout& in, std::uint32_t slot) noexcept {
    return state_of(in.slots[slot].session.load(std::memory_order_acquire)) == session_state::alive;
}

/// Whether this claim stands first and holds. false: not, or it takes a look at the whole line to say so.
bool is_first(const segment& in, std::uint32_t record, std::uint32_t slot, std::uint64_t sequence) noexcept;

} // namespace holdfast::local
