// What stands in the value of a claim's key.
//
// Mostly a note for people, as one small JSON object: who and why. A lock whose holder has a proposal carries
// the bare proposal instead, as Go's concurrency.Election writes and reads it; then nobody is told who and
// why. What decides is only what a resize has written into a note: its number counts instead of the capacity
// in the key, whose text cannot change without losing its place, and the claims that held then go on holding.
//
// Pure functions. Read from anybody's hands, so bounded, and never trusted.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <holdfast/store.hpp>

#include "core/line.hpp"
#include "messages.hpp"

namespace holdfast::etcd {

struct claim_note {
    holder_info who;
    std::optional<std::chrono::system_clock::time_point> since;
    std::optional<std::uint32_t> capacity = {}; ///< Since a resize.
    bool kept = false;                          ///< It held when the line was resized.
    std::optional<std::string> proposal = {};
};

/// The value of a claim whose key has this capacity.
std::string write_value(const claim_note& note, std::uint32_t key_capacity);

/// Writes the same for claims of one holder that differ in nothing but their time.
class note_writer {
  public:
    explicit note_writer(const holder_info& who);
    std::string at(std::chrono::system_clock::time_point since) const;

  private:
    std::string before_;
    std::string after_;
};

/// What the value of a key of ours says. A value that is no note is a proposal.
claim_note read_value(std::string_view bytes);

/// A place in the line, with what a resize has written.
struct standing {
    core::place place;
    bool kept = false;
};

/// How the rule sees this key in the line with this prefix, see keys.hpp; with what a resize has written, if
/// the value has been read or was not needed.
std::optional<standing> place_of(std::string_view prefix, const key_value& kv);
/// How many claims from the head hold: by the rule, or because they did when the line was resized. They are a
/// prefix too, and departures leave them one.
std::size_t granted_places(std::span<const core::place> line, std::size_t kept_at_head) noexcept;
/// The same for places one by one.
std::size_t granted_places(const std::vector<standing>& line);
/// A reading of keys alone does not tell what place this is: it may have been resized.
bool needs_value(std::string_view prefix, const key_value& kv);

} // namespace holdfast::etcd
