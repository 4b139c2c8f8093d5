// The lines of the etcd store: against bare gRPC calls and against Go's concurrency.Mutex. Every line starts
// a server of its own with an empty data folder: etcd slows down as it ages.
#include "engines.hpp"

#include "checks.hpp"
#include "support/servers.hpp"
#include "turns.hpp"

namespace holdfast::bench {
namespace {

using std::chrono::milliseconds;

constexpr const char* no_go =
    "Go's concurrency.Mutex was not built: it needs golang-go, golang-etcd-server-dev";

/// Null when its program was not built.
std::unique_ptr<crew> go_mutex(const testing::etcd_server& server, int processes, int threads) {
    const auto program = own_folder() / "bench-peers" / "etcd_mutex";
    if (!std::filesystem::exists(program)) {
        return nullptr;
    }
    return crew::of_program({program.string(), server.endpoint(), "bench-go", std::to_string(threads)},
                            processes);
}

// In processes of their own: gRPC shares its waiting among all connections of a process, and one side's
// threads would wait for the other's replies.
void measure_u1(finding& into, std::chrono::nanoseconds budget) {
    testing::etcd_server server;
    const auto one_thread = [&](const std::string& kind, const std::string& where) {
        return crew::of_takers(kind, where, "bench", 1, 1, server.folder() / ("board-" + kind));
    };
    const auto ours = one_thread("holdfast", server.url());
    const auto plain = one_thread("etcd-plain", server.endpoint());
    const auto same = one_thread("etcd-same", server.endpoint());
    constexpr milliseconds length(200);
    into.entrants = alternate({{"holdfast", [&] { return ours->contend(length); }},
                               {"Txn, Delete", [&] { return plain->contend(length); }},
                               {"the same transactions", [&] { return same->contend(length); }}},
                              budget);
    into.checks.push_back(check_ratio(">= 0.95 x bare Txn + Delete over gRPC", bound::at_least, 0.95,
                                      ratio(into.entrants[0], into.entrants[1], rate_of)));
    into.checks.push_back(check_ratio(">= 0.95 x the same transactions over gRPC", bound::at_least, 0.95,
                                      ratio(into.entrants[0], into.entrants[2], rate_of)));
    for (const entrant& each : into.entrants) {
        into.checks.push_back(
            check_figure(each.name + ": a pair", bound::none, 0, each.sum().ns_per_turn() / 1000, "us"));
    }
}

void measure_c44(finding& into, std::chrono::nanoseconds budget) {
    testing::etcd_server server;
    const auto ours =
        crew::of_takers("holdfast", server.url(), "bench", 4, 4, server.folder() / "board-ours");
    const auto go = go_mutex(server, 4, 4);
    constexpr milliseconds length(500);
    std::vector<contender> contenders{{"holdfast", [&] { return ours->contend(length); }}};
    if (go) {
        contenders.push_back({"Go's mutex", [&] { return go->contend(length); }});
    }
    into.entrants = alternate(contenders, budget);
    const entrant& mine = into.entrants[0];
    into.checks.push_back(check_collisions(*ours));
    const std::string goal = ">= 4 x Go's mutex, one member";
    if (go) {
        into.checks.push_back(check_ratio(goal, bound::at_least, 4, ratio(mine, into.entrants[1], rate_of)));
    } else {
        into.checks.push_back(not_measured(goal, no_go));
    }
    into.checks.push_back(check_figure("fair", bound::none, 0, mine.fairness(&worker_count::turns), ""));
    for (const entrant& each : into.entrants) {
        into.checks.push_back(check_waits(each));
    }
}

void measure_c16(finding& into, std::chrono::nanoseconds budget) {
    testing::etcd_server server;
    c16 ours(server.url(), server.folder());
    const auto go = go_mutex(server, 1, 16);
    ours.measure(into, budget, "Go's mutex", go.get());
    const std::string goal = "holdfast: >= 6 x Go's mutex, one member";
    into.checks.push_back(
        go ? check_ratio(goal, bound::at_least, 6, ratio(into.entrants[1], into.entrants[2], rate_of))
           : not_measured(goal, no_go));
}

void measure_hand_over(finding& into, std::chrono::nanoseconds budget) {
    testing::etcd_server server;
    const auto ours = crew::of_takers("holdfast", server.url(), "bench", 2, 1, server.folder() / "board");
    const auto go = go_mutex(server, 2, 1);
    std::vector<contender> contenders{{"holdfast", [&] { return ours->hand_over(8); }}};
    if (go) {
        contenders.push_back({"Go's mutex", [&] { return go->hand_over(4); }});
    }
    into.entrants = alternate(contenders, budget);
    const auto speed = [](const slice& each) { return 1 / each.hand_over_p50_us(); };
    into.checks.push_back(check_figure("p50 <= 2 ms", bound::at_most, 2,
                                       into.entrants[0].sum().hand_over_p50_us() / 1000, "ms"));
    const std::string goal = ">= 30 x as fast as Go's mutex";
    if (go) {
        into.checks.push_back(
            check_ratio(goal, bound::at_least, 30, ratio(into.entrants[0], into.entrants[1], speed)));
        into.checks.push_back(check_figure("Go's mutex: p50", bound::none, 0,
                                           into.entrants[1].sum().hand_over_p50_us() / 1000, "ms"));
    } else {
        into.checks.push_back(not_measured(goal, no_go));
    }
}

} // namespace

void add_etcd_lines(std::vector<line>& lines) {
    lines.push_back({"etcd", "U1", "one thread, name free: a cycle, against a bare Txn and Delete over gRPC",
                     measure_u1});
    lines.push_back({"etcd", "C16",
                     "16 threads of one process, one name, one member, with local_hand_over and without, "
                     "against Go's concurrency.Mutex",
                     measure_c16});
    lines.push_back({"etcd", "C44",
                     "4 processes of 4 threads, one name, one member, against Go's "
                     "concurrency.Mutex",
                     measure_c44});
    lines.push_back({"etcd", "hand-over",
                     "release called to acquired in another process, held 20-80 ms, against Go's "
                     "concurrency.Mutex",
                     measure_hand_over});
}

} // namespace holdfast::bench
