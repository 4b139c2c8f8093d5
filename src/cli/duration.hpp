// Durations as people write and read them: 10s, 1.5m, 250ms, 2h.
//
// Pure functions.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::cli {

/// Reads a number with a unit: us, ms, s, m, h or d. Nothing without a unit, nothing negative, nothing beyond
/// 10,000 days.
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

/// Reads bare seconds with fractions, as flock's -w takes them. Not negative, at most 10,000 days.
std::optional<std::chrono::nanoseconds> parse_seconds(std::string_view text);

/// The two largest units, rounded down: "2d 3h", "4m 10s", "1.5s", "250ms".
std::string format_duration(std::chrono::nanoseconds duration);

} // namespace holdfast::cli
