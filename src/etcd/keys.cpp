#include "keys.hpp"

#include <charconv>

namespace holdfast::etcd {
namespace {

// Only the one spelling that we write: no sign, no leading zero, no capital, nothing behind it.
template <typename Number>
bool read_number(std::string_view text, int base, Number& out) {
    if (text.empty() || (text.front() == '0' && text.size() > 1)) {
        return false;
    }
    for (const char digit : text) {
        const bool decimal = digit >= '0' && digit <= '9';
        if (!decimal && !(base == 16 && digit >= 'a' && digit <= 'f')) {
            return false;
        }
    }
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), out, base);
    return failure == std::errc() && end == text.data() + text.size();
}

bool valid_capacity(std::uint32_t capacity) {
    return capacity == lock_capacity || (capacity >= 1 && capacity <= max_permits);
}

} // namespace

std::string namespace_prefix(std::string_view url_path) {
    while (!url_path.empty() && url_path.front() == '/') {
        url_path.remove_prefix(1);
    }
    while (!url_path.empty() && url_path.back() == '/') {
        url_path.remove_suffix(1);
    }
    return url_path.empty() ? std::string() : std::string(url_path) + '/';
}

std::string line_prefix(std::string_view space, const resource_name& name) {
    std::string prefix;
    prefix.reserve(space.size() + name.bytes().size() + 1);
    prefix.append(space).append(name.bytes()).push_back('/');
    return prefix;
}

key_range range_of(std::string_view prefix) {
    key_range out{std::string(prefix), std::string(prefix)};
    // The smallest key above all that begin with the prefix: its last byte raised, where a 0xff cannot be.
    while (!out.end.empty() && static_cast<unsigned char>(out.end.back()) == 0xff) {
        out.end.pop_back();
    }
    if (!out.end.empty()) {
        out.end.back() = static_cast<char>(static_cast<unsigned char>(out.end.back()) + 1);
        return out;
    }
    // etcd writes "to the end of all keys" as one zero byte, and has no empty key.
    out.end.assign(1, '\0');
    if (out.key.empty()) {
        out.key.assign(1, '\0');
    }
    return out;
}

std::string lease_hex(std::int64_t lease) {
    char digits[16];
    const auto [end, failure] =
        std::to_chars(digits, digits + sizeof digits, static_cast<std::uint64_t>(lease), 16);
    return failure == std::errc() ? std::string(digits, end) : std::string();
}

std::string claim_key(std::string_view prefix, std::int64_t lease, const claim& what) {
    constexpr std::size_t longest_tail = 24; // Two numbers of ten digits, a dot and two dashes.
    const std::string under = lease_hex(lease);
    const std::string id = to_string(what.id);
    std::string key;
    key.reserve(prefix.size() + under.size() + id.size() + longest_tail);
    key += prefix;
    key += under;
    key += '-';
    key += id;
    key += '-';
    key += std::to_string(what.weight);
    key += '.';
    key += std::to_string(what.capacity);
    return key;
}

std::optional<claim_text> parse_claim(std::string_view text) {
    const std::size_t first = text.find('-');
    const std::size_t last = text.rfind('-');
    if (first == std::string_view::npos || last == first) {
        return std::nullopt;
    }
    claim_text out;
    const std::string_view numbers = text.substr(last + 1);
    const std::size_t dot = numbers.find('.');
    if (dot == std::string_view::npos) {
        return std::nullopt;
    }
    std::uint64_t lease = 0;
    if (!read_number(text.substr(0, first), 16, lease) ||
        !parse_claim_id(text.substr(first + 1, last - first - 1), out.id) ||
        !read_number(numbers.substr(0, dot), 10, out.weight) ||
        !read_number(numbers.substr(dot + 1), 10, out.capacity)) {
        return std::nullopt;
    }
    out.lease = static_cast<std::int64_t>(lease);
    if (!valid_capacity(out.capacity) || out.weight == 0 || out.weight > out.capacity) {
        return std::nullopt;
    }
    return out;
}

std::optional<core::place> place_of(std::string_view prefix, std::string_view key) {
    if (!key.starts_with(prefix)) {
        return std::nullopt;
    }
    const std::string_view text = key.substr(prefix.size());
    if (text.find('/') != std::string_view::npos) {
        return std::nullopt;
    }
    if (const auto ours = parse_claim(text)) {
        return core::place{ours->weight, ours->capacity, false};
    }
    return core::place{1, 1, true};
}

bool looks_like_lock(std::string_view text, std::int64_t lease) {
    return lease != 0 && text == lease_hex(lease);
}

} // namespace holdfast::etcd
