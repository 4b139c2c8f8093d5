// The one rule of Holdfast: a claim is granted when the weights from the head of the line up to and including
// it do not exceed the capacity.
//
// Pure functions over places; no I/O, no time, no locks. Every engine applies this rule: the etcd mirror and
// the local store call it, the Redis script repeats it in Lua and is tested against it on the same lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace holdfast::core {

/// One claim as the rule sees it.
struct place {
    std::uint32_t weight = 1;
    std::uint32_t capacity = 1;
    bool foreign = false; ///< Not a claim of ours: it counts as exclusive.
};

/// Whether the newcomer may stand in a line with this head: same kind, same capacity, a weight that can ever
/// fit. A foreign head decides nothing: whoever comes waits behind it.
bool may_join(const place& head, const place& newcomer) noexcept;

/// How many claims from the head hold now. Capacity is the head's. A foreign claim, and one whose capacity is
/// not the head's (it is about to leave, having been refused), count as exclusive: they hold only alone at
/// the head.
///
/// Appending never shortens the prefix, and no departure takes a grant away: what holds goes on holding.
std::size_t granted_prefix(std::span<const place> line) noexcept;

} // namespace holdfast::core
