// Durations and time points of any kind, brought to nanoseconds without overflow. Pure functions.
//
// hours::max() and time_point::max() are how callers say "for ever"; a plain conversion to nanoseconds
// overflows on them and gives a time in the past.
#pragma once

#include <chrono>
#include <cstdint>

namespace holdfast::detail {

/// The smallest number of nanoseconds that is not less, or the largest or smallest there is. Not a number
/// counts as zero.
template <typename Rep, typename Period>
constexpr std::chrono::nanoseconds saturated(std::chrono::duration<Rep, Period> value) noexcept {
    using std::chrono::nanoseconds;
    // Its 64 bits of mantissa hold every whole number of nanoseconds exactly.
    using wide = std::chrono::duration<long double, std::nano>;
    const long double exact = std::chrono::duration_cast<wide>(value).count();
    if (exact != exact) {
        return nanoseconds::zero();
    }
    if (exact >= static_cast<long double>(nanoseconds::max().count())) {
        return nanoseconds::max();
    }
    if (exact <= static_cast<long double>(nanoseconds::min().count())) {
        return nanoseconds::min();
    }
    const auto whole = static_cast<std::int64_t>(exact);
    return nanoseconds(static_cast<long double>(whole) < exact ? whole + 1 : whole);
}

/// What is left until the time point, on its own clock; negative when it has passed.
template <typename Clock, typename Duration>
std::chrono::nanoseconds time_left(std::chrono::time_point<Clock, Duration> until) {
    using wide = std::chrono::duration<long double, std::nano>;
    return saturated(std::chrono::duration_cast<wide>(until.time_since_epoch()) -
                     std::chrono::duration_cast<wide>(Clock::now().time_since_epoch()));
}

} // namespace holdfast::detail
