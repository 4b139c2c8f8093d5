#include "frame.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <stdexcept>

namespace holdfast::bench {

std::uint64_t histogram::total() const noexcept {
    return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

double histogram::percentile(double share) const noexcept {
    const double wanted = share * static_cast<double>(total());
    double seen = 0;
    for (std::size_t bucket = 0; bucket < bucket_count; ++bucket) {
        seen += static_cast<double>(counts_[bucket]);
        if (counts_[bucket] > 0 && seen >= wanted) {
            if (bucket < 32) {
                return static_cast<double>(bucket);
            }
            const auto shift = static_cast<int>(bucket / 16) - 1;
            return std::ldexp(static_cast<double>(bucket % 16) + 16.5, shift);
        }
    }
    return 0;
}

double slice::turns() const noexcept {
    std::uint64_t all = 0;
    for (const worker_count& each : workers) {
        all += each.turns;
    }
    return static_cast<double>(all);
}

double slice::hand_over_p50_us() const {
    return spread_of(hand_overs_us).median;
}

slice entrant::sum() const {
    slice all;
    for (const slice& each : slices) {
        all.seconds += each.seconds;
        all.workers.resize(std::max(all.workers.size(), each.workers.size()));
        for (std::size_t index = 0; index < each.workers.size(); ++index) {
            all.workers[index].turns += each.workers[index].turns;
            all.workers[index].hand_overs += each.workers[index].hand_overs;
            all.workers[index].contended += each.workers[index].contended;
        }
        all.waits.add(each.waits);
        all.passes.add(each.passes);
        all.hand_overs_us.insert(all.hand_overs_us.end(), each.hand_overs_us.begin(),
                                 each.hand_overs_us.end());
    }
    return all;
}

double entrant::fairness(std::uint64_t worker_count::*counted) const {
    const slice all = sum();
    if (all.workers.empty()) {
        return 0;
    }
    const auto [fewest, most] =
        std::minmax_element(all.workers.begin(), all.workers.end(),
                            [&](const auto& a, const auto& b) { return a.*counted < b.*counted; });
    return (*fewest).*counted == 0
               ? 0
               : static_cast<double>((*most).*counted) / static_cast<double>((*fewest).*counted);
}

std::vector<entrant> alternate(const std::vector<contender>& contenders, std::chrono::nanoseconds budget) {
    std::vector<entrant> entrants;
    for (const contender& each : contenders) {
        entrants.push_back({each.name, {}});
        static_cast<void>(each.run());
    }
    const auto end = std::chrono::steady_clock::now() + budget;
    for (int round = 0; round < 3 || std::chrono::steady_clock::now() < end; ++round) {
        for (std::size_t index = 0; index < contenders.size(); ++index) {
            entrants[index].slices.push_back(contenders[index].run());
        }
    }
    return entrants;
}

spread spread_of(std::vector<double> figures) {
    if (figures.empty()) {
        return {};
    }
    std::sort(figures.begin(), figures.end());
    const auto at = [&](double share) {
        const double place = share * static_cast<double>(figures.size() - 1);
        const auto below = static_cast<std::size_t>(place);
        const auto above = std::min(below + 1, figures.size() - 1);
        return std::lerp(figures[below], figures[above], place - static_cast<double>(below));
    };
    return {at(0.25), at(0.5), at(0.75)};
}

spread ratio(const entrant& ours, const entrant& theirs, const std::function<double(const slice&)>& figure) {
    std::vector<double> ratios;
    for (std::size_t round = 0; round < std::min(ours.slices.size(), theirs.slices.size()); ++round) {
        const double limit = figure(theirs.slices[round]);
        if (limit > 0) {
            ratios.push_back(figure(ours.slices[round]) / limit);
        }
    }
    if (ratios.empty()) {
        throw std::runtime_error(theirs.name + " did nothing in any slice");
    }
    return spread_of(std::move(ratios));
}

std::string shown(double value) {
    char text[64];
    const double size = std::fabs(value);
    if (size >= 99.95) {
        std::snprintf(text, sizeof(text), "%.0f", value);
    } else {
        std::snprintf(text, sizeof(text), "%.*f", size >= 9.995 ? 1 : size >= 0.0995 ? 2 : 3, value);
    }
    return text;
}

namespace {

check judged(std::string goal, bound side, double limit, double value, std::string figure) {
    check made{.goal = std::move(goal), .figure = std::move(figure), .value = value, .reached = {}};
    if (side != bound::none) {
        made.reached = side == bound::at_least ? value >= limit : value <= limit;
        made.why_not.clear();
    }
    return made;
}

} // namespace

check check_ratio(std::string goal, bound side, double limit, const spread& measured) {
    return judged(std::move(goal), side, limit, measured.median,
                  shown(measured.median) + " x (" + shown(measured.low) + "-" + shown(measured.high) + ")");
}

check check_figure(std::string goal, bound side, double limit, double measured, const std::string& unit) {
    return judged(std::move(goal), side, limit, measured, shown(measured) + (unit.empty() ? "" : " " + unit));
}

check not_measured(std::string goal, std::string why) {
    return {.goal = std::move(goal), .figure = "-", .value = {}, .reached = {}, .why_not = std::move(why)};
}

} // namespace holdfast::bench
