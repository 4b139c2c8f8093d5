#include "cli/text.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <unistd.h>

namespace holdfast::cli {
namespace {

/// The length of the well-formed UTF-8 character at the beginning of the bytes; 0 when there is none.
std::size_t character_length(std::string_view bytes) noexcept {
    const auto at = [bytes](std::size_t index) { return static_cast<unsigned char>(bytes[index]); };
    if (bytes.empty()) {
        return 0;
    }
    const unsigned first = at(0);
    if (first < 0x80) {
        return 1;
    }
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || bytes.size() < length) {
        return 0;
    }
    for (std::size_t index = 1; index < length; ++index) {
        if ((at(index) & 0xc0U) != 0x80) {
            return 0;
        }
    }
    const unsigned second = at(1);
    const bool wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                       (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
    return wrong ? 0 : length;
}

bool is_control(std::string_view character) noexcept {
    const auto first = static_cast<unsigned char>(character[0]);
    if (character.size() == 1) {
        return first < 0x20 || first == 0x7f;
    }
    // C1 controls: some terminals obey them also when they are encoded as UTF-8.
    return character.size() == 2 && first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

} // namespace

void say(std::string_view text) noexcept {
    const std::string line = "holdfast: " + printable(text) + "\n";
    std::string_view left = line;
    while (!left.empty()) {
        const ssize_t written = ::write(STDERR_FILENO, left.data(), left.size());
        if (written < 0 && errno != EINTR) {
            return; // Nobody reads our messages: that is no reason to stop.
        }
        left.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
    }
}

bool is_utf8(std::string_view bytes) noexcept {
    while (!bytes.empty()) {
        const std::size_t length = character_length(bytes);
        if (length == 0) {
            return false;
        }
        bytes.remove_prefix(length);
    }
    return true;
}

std::string printable(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    while (!bytes.empty()) {
        const std::size_t length = character_length(bytes);
        if (length == 0 || is_control(bytes.substr(0, length))) {
            for (const char raw : bytes.substr(0, length == 0 ? 1 : length)) {
                const auto byte = static_cast<unsigned char>(raw);
                out += {'\\', 'x', digits[byte >> 4U], digits[byte & 15U]};
            }
        } else {
            out += bytes.substr(0, length);
        }
        bytes.remove_prefix(length == 0 ? 1 : length);
    }
    return out;
}

std::string in_quotes(std::string_view bytes) {
    return "'" + printable(bytes) + "'";
}

std::size_t columns(std::string_view text) noexcept {
    std::size_t count = 0;
    for (const char byte : text) {
        count += (static_cast<unsigned char>(byte) & 0xc0U) != 0x80 ? 1 : 0;
    }
    return count;
}

std::string shortened(std::string_view text, std::size_t max_bytes) {
    if (text.size() <= max_bytes) {
        return std::string(text);
    }
    std::size_t end = max_bytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80) {
        --end;
    }
    return std::string(text.substr(0, end));
}

std::string base64(std::string_view bytes) {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
        std::uint32_t group = 0;
        for (std::size_t index = 0; index < 3; ++index) {
            group = (group << 8U) | (index < count ? static_cast<unsigned char>(bytes[at + index]) : 0U);
        }
        for (std::size_t index = 0; index < 4; ++index) {
            out += index <= count ? alphabet[(group >> (18U - 6U * index)) & 63U] : '=';
        }
    }
    return out;
}

} // namespace holdfast::cli
