#include "cli/duration.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <utility>

namespace holdfast::cli {
namespace {

using std::chrono::nanoseconds;

constexpr double longest_ns = 864e15; // 10,000 days: far beyond use, far from overflow.

std::optional<nanoseconds> scaled(std::string_view number, double unit_ns) {
    if (number.empty() || number.front() == '+' || number.front() == '-') {
        return std::nullopt;
    }
    double value = 0;
    const char* end = number.data() + number.size();
    const auto [stop, failure] = std::from_chars(number.data(), end, value, std::chars_format::fixed);
    if (failure != std::errc() || stop != end || !std::isfinite(value) || value * unit_ns > longest_ns) {
        return std::nullopt;
    }
    return nanoseconds(std::llround(value * unit_ns));
}

std::string two_units(std::int64_t high, const char* high_unit, std::int64_t low, const char* low_unit) {
    std::string text = std::to_string(high) + high_unit;
    if (low != 0) {
        text += " " + std::to_string(low) + low_unit;
    }
    return text;
}

} // namespace

std::optional<nanoseconds> parse_duration(std::string_view text) {
    constexpr std::array<std::pair<std::string_view, double>, 6> units{
        {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}}};
    const std::size_t digits = text.find_first_not_of("0123456789.");
    if (digits == std::string_view::npos) {
        return std::nullopt;
    }
    for (const auto& [unit, unit_ns] : units) {
        if (text.substr(digits) == unit) {
            return scaled(text.substr(0, digits), unit_ns);
        }
    }
    return std::nullopt;
}

std::optional<nanoseconds> parse_seconds(std::string_view text) {
    return scaled(text, 1e9);
}

std::string format_duration(nanoseconds duration) {
    const std::int64_t ms = std::chrono::floor<std::chrono::milliseconds>(duration).count();
    if (ms < 0) {
        return "0ms";
    }
    if (ms < 1000) {
        return std::to_string(ms) + "ms";
    }
    const std::int64_t seconds = ms / 1000;
    if (seconds < 10 && ms % 1000 >= 100) {
        return std::to_string(seconds) + "." + std::to_string(ms % 1000 / 100) + "s";
    }
    if (seconds < 60) {
        return std::to_string(seconds) + "s";
    }
    if (seconds < 3600) {
        return two_units(seconds / 60, "m", seconds % 60, "s");
    }
    if (seconds < 86400) {
        return two_units(seconds / 3600, "h", seconds % 3600 / 60, "m");
    }
    return two_units(seconds / 86400, "d", seconds % 86400 / 3600, "h");
}

} // namespace holdfast::cli
