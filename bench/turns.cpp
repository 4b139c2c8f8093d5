#include "turns.hpp"

#include <utility>

namespace holdfast::bench {

c16::c16(const std::string& url, const std::filesystem::path& folder)
    : plain_(crew::of_takers("holdfast", url, "bench", 1, 16, folder / "board-plain")),
      in_turns_(crew::of_takers("holdfast-turns", url, "bench-turns", 1, 16, folder / "board-turns")) {}

void c16::measure(finding& into, std::chrono::nanoseconds budget, const std::string& peer_name, crew* peer,
                  const std::vector<contender>& more) {
    constexpr std::chrono::milliseconds length(400);
    std::vector<contender> contenders{{"local_hand_over", [&] { return in_turns_->contend(length); }},
                                      {"holdfast", [&] { return plain_->contend(length); }}};
    if (peer != nullptr) {
        contenders.push_back({peer_name, [&] { return peer->contend(length); }});
    }
    contenders.insert(contenders.end(), more.begin(), more.end());
    into.entrants = alternate(contenders, budget);
    for (const auto& [who, ours] :
         {std::pair("local_hand_over", in_turns_.get()), {"holdfast", plain_.get()}}) {
        check alone = check_collisions(*ours);
        alone.goal = std::string(who) + ": " + alone.goal;
        into.checks.push_back(std::move(alone));
    }
    into.checks.push_back(check_ratio("local_hand_over: >= 10 x without it", bound::at_least, 10,
                                      ratio(into.entrants[0], into.entrants[1], rate_of)));
    for (const entrant& each : into.entrants) {
        into.checks.push_back(check_waits(each));
        into.checks.push_back(check_figure(each.name + ": fair (0: a worker starved)", bound::none, 0,
                                           each.fairness(&worker_count::turns), ""));
    }
}

} // namespace holdfast::bench
