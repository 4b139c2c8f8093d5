#include "cli/duration.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace holdfast::cli {
namespace {

using std::chrono::nanoseconds;

constexpr std::int64_t longest_ns = 864'000'000'000'000'000; // 10,000 days: beyond use, far from overflow.

/// Digits with at most one point among them. In whole numbers: std::from_chars for double would bring libm
/// into the command, and with it one shared library more to load at each start.
std::optional<nanoseconds> scaled(std::string_view number, std::int64_t unit_ns) {
    const std::size_t point = std::min(number.find('.'), number.size());
    const std::string_view whole = number.substr(0, point);
    const std::string_view fraction = number.substr(std::min(point + 1, number.size()));
    const auto is_digit = [](char each) { return each >= '0' && each <= '9'; };
    if (whole.size() + fraction.size() == 0 || !std::all_of(whole.begin(), whole.end(), is_digit) ||
        !std::all_of(fraction.begin(), fraction.end(), is_digit)) {
        return std::nullopt;
    }
    std::int64_t units = 0;
    for (const char digit : whole) {
        units = 10 * units + (digit - '0');
        if (units > longest_ns / unit_ns) {
            return std::nullopt;
        }
    }
    constexpr std::int64_t finer = 1'000; // Parts of a nanosecond, so that the last one is rounded.
    std::int64_t part = 0;
    for (auto digit = fraction.rbegin(); digit != fraction.rend(); ++digit) {
        part = (part + (*digit - '0') * unit_ns * finer) / 10;
    }
    const std::int64_t ns = units * unit_ns + (part + finer / 2) / finer;
    return ns > longest_ns ? std::nullopt : std::optional(nanoseconds(ns));
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
    constexpr std::array<std::pair<std::string_view, std::int64_t>, 6> units{{{"us", 1'000},
                                                                              {"ms", 1'000'000},
                                                                              {"s", 1'000'000'000},
                                                                              {"m", 60'000'000'000},
                                                                              {"h", 3'600'000'000'000},
                                                                              {"d", 86'400'000'000'000}}};
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
    return scaled(text, 1'000'000'000);
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
