#include <holdfast/types.hpp>

#include <charconv>

namespace holdfast {

result<resource_name> resource_name::make(std::string_view bytes) {
    if (bytes.empty()) {
        return error(errc::misuse, "the name of a resource is empty; give it 1 to 512 bytes");
    }
    if (bytes.size() > max_bytes) {
        return error(errc::misuse, "the name of a resource has " + std::to_string(bytes.size()) +
                                       " bytes ('" + std::string(bytes.substr(0, 40)) +
                                       "...'); at most 512 are allowed");
    }
    return resource_name(std::string(bytes));
}

std::string_view to_string(loss_reason reason) noexcept {
    switch (reason) {
    case loss_reason::none:
        return "none";
    case loss_reason::expired:
        return "expired";
    case loss_reason::revoked:
        return "revoked";
    case loss_reason::broken:
        return "broken";
    case loss_reason::replaced:
        return "replaced";
    case loss_reason::forked:
        return "forked";
    }
    return "unknown";
}

std::string_view to_string(level value) noexcept {
    switch (value) {
    case level::efficiency:
        return "efficiency";
    case level::exclusive:
        return "exclusive";
    case level::fenced:
        return "fenced";
    }
    return "unknown";
}

namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

int hex_value(char digit) noexcept {
    const auto at = hex_digits.find(digit);
    return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

} // namespace

std::string to_string(const claim_id& id) {
    std::string text;
    text.reserve(49);
    for (const std::uint8_t byte : id.session) {
        text += hex_digits[byte >> 4];
        text += hex_digits[byte & 15];
    }
    text += '.';
    std::array<char, 16> digits{};
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), id.number, 16);
    text.append(digits.data(), written.ptr);
    return text;
}

bool parse_claim_id(std::string_view text, claim_id& out) noexcept {
    constexpr std::size_t session_digits = 32;
    if (text.size() < session_digits + 2 || text.size() > session_digits + 17 ||
        text[session_digits] != '.') {
        return false;
    }
    claim_id parsed;
    for (std::size_t i = 0; i < parsed.session.size(); ++i) {
        const int high = hex_value(text[2 * i]);
        const int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        parsed.session[i] = static_cast<std::uint8_t>(high * 16 + low);
    }
    const std::string_view digits = text.substr(session_digits + 1);
    for (const char digit : digits) {
        if (hex_value(digit) < 0) {
            return false;
        }
    }
    if (digits.size() > 1 && digits.front() == '0') {
        return false;
    }
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), parsed.number, 16);
    if (read.ec != std::errc() || read.ptr != digits.data() + digits.size()) {
        return false;
    }
    out = parsed;
    return true;
}

} // namespace holdfast
