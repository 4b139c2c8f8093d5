// The whole of a small file. Not by std::ifstream: with it come the standard streams and locales, whose
// initialisation would be a twentieth of what the command takes to start.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace holdfast::core {

/// At most so many bytes of it; nothing where it cannot be read (errno says why). A pipe is read to its end.
std::optional<std::string> read_small_file(const char* path, std::size_t at_most);

/// The text up to its first newline.
std::string first_line(std::string text);

} // namespace holdfast::core
