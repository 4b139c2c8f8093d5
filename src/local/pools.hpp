// Taking blocks and cells out of the shared pools, and finding or making the record of a name.
//
// Lock-free and crash-safe, as segment.hpp explains: a thing is taken by writing one's owner_id into it, and
// given back by writing 0; what a dead owner left becomes void with its slot's generation. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "segment.hpp"

namespace holdfast::local {

inline constexpr std::uint32_t no_index = ~std::uint32_t{0};

/// A block for at least this many claims that no record names; no_index when all of them are in use.
std::uint32_t take_block(const segment& in, owner_id me, std::size_t claims) noexcept;
void give_block(const segment& in, std::uint32_t index) noexcept;

/// A cell of our own, marked as one that no thread waits on; 0 when there is none left (cell 0 is never given
/// out).
std::uint32_t take_cell(const segment& in, owner_id me) noexcept;
inline void give_cell(cell& mine) noexcept {
    mine.owner.store(0, std::memory_order_release);
}
inline void give_cell(const segment& in, std::uint32_t index) noexcept {
    if (index != 0) {
        give_cell(in.data().cells[index]);
    }
}

/// What looking for a name came to.
struct found_name {
    enum class outcome { found, absent, full, corrupt };
    outcome what = outcome::absent;
    std::uint32_t record = no_index;
};

/// The record of a name, if there is one.
found_name find_record(const segment& in, std::string_view name) noexcept;

/// The record of a name, made if there is none.
found_name find_or_make_record(const segment& in, owner_id me, std::string_view name) noexcept;

/// The name of a published record; empty when it is damaged.
std::optional<std::string> name_of(const segment& in, std::uint32_t record);

/// Whether the table names this record: it is in use, and its name and base never change again.
bool is_published(const segment& in, std::uint32_t record) noexcept;

} // namespace holdfast::local
