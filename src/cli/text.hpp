// Text for people: messages on stderr, names made safe for a terminal, and what JSON needs to know about
// bytes.
//
// All functions may be called from any thread; say() writes one message with one system call.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast::cli {

/// Writes "holdfast: TEXT\n" to stderr. Control characters in the text are shown, not obeyed.
void say(std::string_view text) noexcept;

/// Whether the bytes are well-formed UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view bytes) noexcept;

/// The bytes as a terminal may show them: control characters and what is not UTF-8 as \xNN.
std::string printable(std::string_view bytes);

/// The same between single quotes.
std::string in_quotes(std::string_view bytes);

/// How many columns a printable text takes, one a code point.
std::size_t columns(std::string_view text) noexcept;

/// At most this many bytes of the text, never cutting a UTF-8 character.
std::string shortened(std::string_view text, std::size_t max_bytes);

/// Base64 with padding.
std::string base64(std::string_view bytes);

} // namespace holdfast::cli
