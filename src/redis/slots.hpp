// Where our auxiliary keys live: names that a Redis Cluster keeps on the same node as the lock's own key.
//
// Pure functions, thread-safe. On one master any name would do; these are used there too, so that a data set
// can move to a cluster without a key changing its name.
//
// Redis hashes what stands between the first '{' and the first '}' after it, if that is not empty, else the
// whole name. An auxiliary key repeats the part that is hashed in braces of its own, then the whole name
// (names with one tag must not share keys), then a suffix of fixed length (so that no name can spell
// another's key). A hashed part that holds a '}' cannot be repeated in braces: a short word of the same slot
// stands in for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::redis {

/// What all our own keys and channels begin with; names of locks must not.
inline constexpr std::string_view own_prefix = "holdfast:";

inline constexpr std::uint16_t slot_count = 16'384;

/// The part of a key that a cluster hashes.
std::string_view hashed_part(std::string_view key) noexcept;

/// The cluster's slot of a key.
std::uint16_t slot_of(std::string_view key) noexcept;

/// The key of the line behind a gate. Its companions differ in the last letter only; the scripts derive them.
std::string line_key(std::string_view name);

/// The name whose line_key (or a companion of it) this is, and the companion's letter; nothing for any other
/// key.
struct line_key_parts {
    std::string_view name;
    char part;
};
std::optional<line_key_parts> parse_line_key(std::string_view key) noexcept;

} // namespace holdfast::redis
