// Reading and changing the line of one resource, and the repair of what dead and expired sessions left in it.
//
// Lock-free. Every change is: copy the line, take out the claims that do not count any more, change the copy,
// publish it by one compare-and-swap, and wake those who hold now and did not before. A wake is a hint only:
// whoever is woken reads the line again. Whoever dies between the swap and the wakes is noticed by those who
// wait (see waiting.hpp).
#pragma once

#include <cstdint>
#include <vector>

#include <holdfast/store.hpp>

#include "segment.hpp"

namespace holdfast::local {

/// One claim as it stands in a line.
struct standing {
    std::uint64_t sequence = 0;
    std::uint32_t slot = 0;
    std::uint32_t cell = 0; ///< 0: none.
    std::uint32_t weight = 0;
    bool holds = false; ///< Granted: remembered, because a line that shrinks takes nothing away.

    friend bool operator==(const standing&, const standing&) = default;
};

/// A line as it was at one moment.
struct line {
    std::uint64_t word = 0;
    std::uint64_t counter = 0;
    std::uint32_t capacity = 0; ///< Of the claims in it; an empty line has none.
    std::vector<standing> claims;

    /// How many from the head hold.
    std::size_t granted() const noexcept;
    /// Whether this claim stands in it and holds.
    bool shows_hold(std::uint32_t slot, std::uint64_t sequence) const noexcept;
    /// Lets everybody hold who fits now.
    void grant();
};

/// Milliseconds of CLOCK_MONOTONIC, as session words count.
std::int64_t now_ms() noexcept;

/// Milliseconds of the wall clock, for people.
std::uint64_t realtime_ms() noexcept;

/// Notes that the sole holder with this sequence holds since then (realtime_ms). Only a hint: it is lost when
/// the hold has changed hands meanwhile.
inline void note_since(record& of, std::uint64_t sequence, std::uint64_t at_ms) noexcept {
    of.since.store(sequence << 44 | (at_ms & ((std::uint64_t{1} << 44) - 1)), std::memory_order_release);
}

/// Reads the line. false: the segment is damaged.
[[nodiscard]] bool read_line(const segment& in, std::uint32_t record, line& into);

/// Whether the slot's session still counts. Marks it expired when its process is dead, or, with may_expire,
/// when its deadline has passed; the mark is set on the word that renewal writes, so that the two cannot
/// cross. Whoever sets it on a living process tells it.
bool still_counts(const segment& in, std::uint32_t slot, std::int64_t at_ms, bool may_expire) noexcept;

/// Marks a session expired that is not yet, whatever its lease says, and tells its process. false: it was.
bool expire(const segment& in, std::uint32_t slot) noexcept;

/// Wakes whoever waits for the claim with this cell.
void poke(segment_layout& in, std::uint32_t slot, std::uint32_t cell) noexcept;
inline void poke(const segment& in, std::uint32_t slot, std::uint32_t cell) noexcept {
    poke(in.data(), slot, cell);
}

/// Tells the process that sits there that one of its holds was taken away.
void poke_holder(const segment& in, const standing& holder) noexcept;

/// Wakes who watches the resource, if anybody does: one load if not.
void poke_watchers(record& changed) noexcept;

enum class change_result {
    unchanged, ///< The edit asked for nothing; dead claims may have been taken out all the same.
    changed,
    corrupt,  ///< The segment is damaged; nothing was changed.
    no_space, ///< No block is free for a line of this length; nothing was changed.
};

/// What an edit sees and may change: `claims` and `capacity`. `counter` is already the new
/// one: the sequence number of a claim that it appends. The edit may be called several times, each time with
/// a newer line.
class line_edit {
  public:
    virtual ~line_edit() = default;
    /// true: publish what I made of it.
    virtual bool apply(line& now) = 0;
};

/// Who changes: the owner of the blocks it takes, and whether it may declare others expired.
struct editor {
    owner_id owner = 0;
    bool may_expire = true;
};

change_result change_line(const segment& in, std::uint32_t record, const editor& by, line_edit& edit);

/// Takes one claim out, wherever it stands. Idempotent.
change_result remove_claim(const segment& in, std::uint32_t record, const editor& by, std::uint32_t slot,
                           std::uint64_t sequence);

/// Takes out only what does not count any more.
change_result repair_line(const segment& in, std::uint32_t record, const editor& by);

} // namespace holdfast::local
