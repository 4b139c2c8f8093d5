// The two 64-bit words that everything in the segment is decided by: a resource's word and a session's word.
//
// Pure encodings; no memory, no threads. A value of either word never comes back once it has been replaced
// (the counter or the generation rises), so that a compare-and-swap can be trusted: there is no ABA.
//
//   resource | free = sequence:52 | 0:10    | 00   nobody stands in line; `sequence` numbers were used so far
//            | sole = sequence:52 | slot:10 | 01   one exclusive holder of the kind *lock*, with that
//            sequence number | reader = sequence:52 | slot:10 | 10   one shared holder of that kind, of
//            weight 1 | line = version:38  | block:24| 11   the line is described by that block; version =
//            its counter's low bits
//   session  | deadline_ms:44 | generation:18 | state:2    CLOCK_MONOTONIC; the generation counts the slot's
//   sessions
//
// The counter of a resource rises by one with every change but a release of a sole holder or reader. A
// claim's sequence number is the counter's value at its append; token = the record's base + sequence. 52 bits
// last for more than a year of nothing but acquiring one name in a loop, and every reboot starts anew.
#pragma once

#include <algorithm>
#include <cstdint>

namespace holdfast::local {

enum class tag : std::uint8_t { free = 0, sole = 1, reader = 2, line = 3 };

inline constexpr unsigned slot_bits = 10;
inline constexpr unsigned block_bits = 24;
inline constexpr unsigned version_bits = 38;
inline constexpr std::uint64_t version_mask = (std::uint64_t{1} << version_bits) - 1;
inline constexpr std::uint64_t max_sequence = (std::uint64_t{1} << 52) - 1;

constexpr tag tag_of(std::uint64_t word) noexcept {
    return static_cast<tag>(word & 3);
}

constexpr std::uint64_t free_word(std::uint64_t sequence) noexcept {
    return sequence << (slot_bits + 2);
}
constexpr std::uint64_t sole_word(std::uint64_t sequence, std::uint32_t slot) noexcept {
    return sequence << (slot_bits + 2) | std::uint64_t{slot} << 2 | static_cast<std::uint64_t>(tag::sole);
}
constexpr std::uint64_t reader_word(std::uint64_t sequence, std::uint32_t slot) noexcept {
    return sequence << (slot_bits + 2) | std::uint64_t{slot} << 2 | static_cast<std::uint64_t>(tag::reader);
}
constexpr std::uint64_t line_word(std::uint64_t counter, std::uint32_t block) noexcept {
    return (counter & version_mask) << (block_bits + 2) | std::uint64_t{block} << 2 |
           static_cast<std::uint64_t>(tag::line);
}

/// Of a free, sole or reader word.
constexpr std::uint64_t sequence_of(std::uint64_t word) noexcept {
    return word >> (slot_bits + 2);
}
/// Of a sole or reader word. Always below slot_count.
constexpr std::uint32_t slot_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 2) & ((1U << slot_bits) - 1);
}
/// Of a line word. Not checked.
constexpr std::uint32_t block_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 2) & ((1U << block_bits) - 1);
}
/// Of a line word.
constexpr std::uint64_t version_of(std::uint64_t word) noexcept {
    return word >> (block_bits + 2);
}

/// Of a record's proposal word; beyond every block when it names none.
constexpr std::uint32_t proposal_block(std::uint64_t word) noexcept {
    return (static_cast<std::uint32_t>(word) & ((1U << block_bits) - 1)) - 1;
}
/// The word that follows this one; a block beyond all others: none.
constexpr std::uint64_t next_proposal(std::uint64_t word, std::uint32_t block) noexcept {
    return ((word >> block_bits) + 1) << block_bits | ((block + 1) & ((1U << block_bits) - 1));
}

enum class session_state : std::uint8_t {
    free = 0,  ///< Nobody's slot.
    alive = 1, ///< Its claims count.
    expired =
        2, ///< Its claims do not count any more and may be taken away by anybody. Never becomes alive again.
};

inline constexpr unsigned generation_bits = 18;
inline constexpr std::uint32_t generation_mask = (1U << generation_bits) - 1;

constexpr std::uint64_t session_word(std::int64_t deadline_ms, std::uint32_t generation,
                                     session_state state) noexcept {
    return static_cast<std::uint64_t>(deadline_ms) << (generation_bits + 2) |
           std::uint64_t{generation & generation_mask} << 2 | static_cast<std::uint64_t>(state);
}
constexpr session_state state_of(std::uint64_t word) noexcept {
    return static_cast<session_state>(word & 3);
}
constexpr std::uint32_t generation_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 2) & generation_mask;
}
/// The deadline of a session without one. As nanoseconds it still is an instant; no later deadline is.
inline constexpr std::int64_t never_ms = 9'000'000'000'000;
constexpr std::int64_t deadline_ms_of(std::uint64_t word) noexcept {
    return std::min(static_cast<std::int64_t>(word >> (generation_bits + 2)), never_ms);
}
constexpr std::uint64_t with_state(std::uint64_t word, session_state state) noexcept {
    return (word & ~std::uint64_t{3}) | static_cast<std::uint64_t>(state);
}

/// Who may write a block, a cell or a record that is not published: a slot in one of its generations. 0 is
/// nobody.
using owner_id = std::uint64_t;
constexpr owner_id owner_of(std::uint32_t slot, std::uint32_t generation) noexcept {
    return (std::uint64_t{generation & generation_mask} << slot_bits | slot) << 1 | 1;
}
constexpr std::uint32_t owner_slot(owner_id owner) noexcept {
    return static_cast<std::uint32_t>(owner >> 1) & ((1U << slot_bits) - 1);
}
constexpr std::uint32_t owner_generation(owner_id owner) noexcept {
    return static_cast<std::uint32_t>(owner >> (slot_bits + 1)) & generation_mask;
}

} // namespace holdfast::local
