// The frame of every measurement: contenders take slices in turn, and only ratios of neighbouring slices
// count.
//
// The machine is shared and its speed changes from second to second. Slices of half a second or less in
// alternation (A B A B ...) let whatever else runs hit both sides alike; a figure is the median over the
// rounds, with its quartiles. One thread uses these types.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "histogram.hpp"

namespace holdfast::bench {

inline constexpr std::chrono::milliseconds longest_slice{500};

/// What one thread of one process got in a slice.
struct worker_count {
    std::uint64_t turns = 0;
    std::uint64_t hand_overs = 0; ///< Turns before which another worker held.
    std::uint64_t contended = 0;  ///< Turns for which this worker stood in line behind others.
};

/// What one contender did in one slice.
struct slice {
    double seconds = 0;
    std::vector<worker_count> workers;
    histogram waits; ///< ns from the call of acquire to its return; empty where not measured.
    histogram
        passes; ///< ns from a worker's call of release to the return of acquire of the next, who was in line.
    std::vector<double> hand_overs_us; ///< Hand-over and takeover lines only.

    double turns() const noexcept;
    double rate() const noexcept { return seconds > 0 ? turns() / seconds : 0; }
    double ns_per_turn() const noexcept { return turns() > 0 ? seconds * 1e9 / turns() : 0; }
    double hand_over_p50_us() const;
};

/// Something that can run for one slice.
struct contender {
    std::string name;
    std::function<slice()> run;
};

/// What a contender did in all its slices.
struct entrant {
    std::string name;
    std::vector<slice> slices;

    /// All slices as one.
    slice sum() const;
    /// Most turns of a worker over the fewest; 0 when a worker had none.
    double fairness(std::uint64_t worker_count::*counted) const;
};

/// One warm-up round that is not counted, then rounds until the time is used up, at least 3.
std::vector<entrant> alternate(const std::vector<contender>& contenders, std::chrono::nanoseconds budget);

/// The median of some figures and the quartiles around it.
struct spread {
    double low = 0;
    double median = 0;
    double high = 0;
};
spread spread_of(std::vector<double> figures);

/// ours / theirs round by round, of a figure of a slice. Rounds in which theirs is 0 are left out.
spread ratio(const entrant& ours, const entrant& theirs, const std::function<double(const slice&)>& figure);

/// A goal and what was measured.
struct check {
    std::string goal;
    std::string figure;                       ///< For people.
    std::optional<double> value;              ///< For programs.
    std::optional<bool> reached;              ///< Empty: not measured, or there is no goal.
    std::string why_not = "there is no goal"; ///< Why `reached` is empty.
};

enum class bound { at_least, at_most, none };

/// "0.62 x (0.60-0.65)" against the limit. `none`: a figure without a goal.
check check_ratio(std::string goal, bound side, double limit, const spread& measured);
/// A plain figure with its unit.
check check_figure(std::string goal, bound side, double limit, double measured, const std::string& unit);
check not_measured(std::string goal, std::string why);

/// A figure in three significant digits.
std::string shown(double value);

/// One line of the goals, measured.
struct finding {
    std::string store;
    std::string line;
    std::string compares;
    std::vector<entrant> entrants;
    std::vector<check> checks;
};

/// A line that can be measured.
struct line {
    std::string store; ///< "local", "redis", "etcd".
    std::string name;  ///< "U1", "C44", "hand-over", ...
    std::string compares;
    /// Fills entrants and checks. What it throws becomes "not measured".
    std::function<void(finding& into, std::chrono::nanoseconds budget)> measure;
};

} // namespace holdfast::bench
