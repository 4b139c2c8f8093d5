#include "slots.hpp"

#include <array>
#include <vector>

namespace holdfast::redis {
namespace {

// CRC16 as the Redis Cluster specification gives it: polynomial 0x1021, start 0, nothing reflected.
constexpr std::array<std::uint16_t, 256> crc_table = [] {
    std::array<std::uint16_t, 256> table{};
    for (unsigned byte = 0; byte < 256; ++byte) {
        unsigned crc = byte << 8;
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc & 0x8000U) != 0 ? (crc << 1) ^ 0x1021U : crc << 1;
        }
        table[byte] = static_cast<std::uint16_t>(crc);
    }
    return table;
}();

std::uint16_t crc16(std::string_view bytes) noexcept {
    unsigned crc = 0;
    for (const char c : bytes) {
        crc = ((crc << 8) ^ crc_table[((crc >> 8) ^ static_cast<unsigned char>(c)) & 0xFFU]) & 0xFFFFU;
    }
    return static_cast<std::uint16_t>(crc);
}

// The stand-in of a slot is the smallest number whose decimal digits hash to it: every program computes the
// same.
std::string stand_in(std::uint16_t slot) {
    static const std::vector<std::uint32_t> table = [] {
        constexpr std::uint32_t none = UINT32_MAX;
        std::vector<std::uint32_t> found(slot_count, none);
        std::size_t missing = slot_count;
        for (std::uint32_t number = 0; missing > 0; ++number) {
            std::uint32_t& entry = found[crc16(std::to_string(number)) % slot_count];
            if (entry == none) {
                entry = number;
                --missing;
            }
        }
        return found;
    }();
    return std::to_string(table[slot]);
}

} // namespace

std::string_view hashed_part(std::string_view key) noexcept {
    const std::size_t open = key.find('{');
    if (open == std::string_view::npos) {
        return key;
    }
    const std::size_t close = key.find('}', open + 1);
    if (close == std::string_view::npos || close == open + 1) {
        return key;
    }
    return key.substr(open + 1, close - open - 1);
}

std::uint16_t slot_of(std::string_view key) noexcept {
    return crc16(hashed_part(key)) % slot_count;
}

std::string line_key(std::string_view name) {
    const std::string_view part = hashed_part(name);
    std::string key(own_prefix);
    key += '{';
    if (part.find('}') == std::string_view::npos) {
        key += part;
    } else {
        key += stand_in(slot_of(name));
    }
    key += "}:";
    key += name;
    key += ":l";
    return key;
}

std::optional<line_key_parts> parse_line_key(std::string_view key) noexcept {
    if (!key.starts_with(own_prefix) || key.size() < own_prefix.size() + 1 || key[own_prefix.size()] != '{') {
        return std::nullopt;
    }
    const std::size_t close = key.find("}:", own_prefix.size());
    if (close == std::string_view::npos || key.size() < close + 2 + 1 + 2 || key[key.size() - 2] != ':') {
        return std::nullopt;
    }
    return line_key_parts{key.substr(close + 2, key.size() - close - 4), key.back()};
}

} // namespace holdfast::redis
