// The note that a session leaves in Redis for people: who it is. It decides nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <holdfast/store.hpp>

namespace holdfast::redis {

/// What the channel and the note of a session have in their names: 32 hexadecimal digits.
std::string session_text(const std::array<std::uint8_t, 16>& id);

/// "holdfast:<session>": where hand-overs are announced.
std::string channel_of(std::string_view session);
/// "holdfast:session:<session>": the note.
std::string note_key(std::string_view session);

/// JSON; what is not UTF-8 is replaced.
std::string write_note(const holder_info& who);
/// Nothing for text that is not a note. Texts are cut to 128 bytes.
std::optional<holder_info> read_note(std::string_view text);

} // namespace holdfast::redis
