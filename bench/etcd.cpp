// The lines of the etcd store, on one member and on three: against bare gRPC calls and against Go's
// concurrency.Mutex.
#include "engines.hpp"

#include <random>
#include <thread>

#include "checks.hpp"
#include "etcd_bare.hpp"
#include "etcd_place.hpp"
#include "turns.hpp"

namespace holdfast::bench {
namespace {

using std::chrono::milliseconds;

std::string on(int members) {
    return members == 1 ? ", one member" : ", three members";
}

/// At least so many times Go's turns, where there is Go.
void judge_against_go(finding& into, const std::string& what, double limit, int members, bool measured,
                      std::size_t ours = 0, std::size_t theirs = 1) {
    const std::string goal = what + ">= " + shown(limit) + " x Go's mutex" + on(members);
    into.checks.push_back(measured ? check_ratio(goal, bound::at_least, limit,
                                                 ratio(into.entrants[ours], into.entrants[theirs], rate_of))
                                   : not_measured(goal, no_go));
}

// In processes of their own: gRPC shares its waiting among all connections of a process, and one side's
// threads would wait for the other's replies.
void measure_u1(finding& into, std::chrono::nanoseconds budget, int members) {
    const etcd_place place(members);
    const auto ours = place.ours(1, 1);
    const auto bare = [&](const std::string& kind) {
        return crew::of_takers(kind, place.endpoint(), "bench", 1, 1, place.board(kind));
    };
    const auto plain = bare("etcd-plain");
    const auto same = bare("etcd-same");
    const auto go = place.go(1, 1);
    constexpr milliseconds length(200);
    std::vector<contender> contenders{{"holdfast", [&] { return ours->contend(length); }},
                                      {"Txn, Delete", [&] { return plain->contend(length); }},
                                      {"the same transactions", [&] { return same->contend(length); }}};
    if (go) {
        contenders.push_back({"Go's mutex", [&] { return go->contend(length); }});
    }
    into.entrants = alternate(contenders, budget);
    into.checks.push_back(check_ratio(">= 0.95 x bare Txn + Delete over gRPC", bound::at_least, 0.95,
                                      ratio(into.entrants[0], into.entrants[1], rate_of)));
    into.checks.push_back(check_ratio(">= 0.95 x the same transactions over gRPC", bound::at_least, 0.95,
                                      ratio(into.entrants[0], into.entrants[2], rate_of)));
    for (const entrant& each : into.entrants) {
        into.checks.push_back(
            check_figure(each.name + ": a pair", bound::none, 0, each.sum().ns_per_turn() / 1000, "us"));
    }
}

/// Crews of ours and Go's that take turns, each on its own.
void contest(finding& into, std::chrono::nanoseconds budget, crew& ours, crew* go,
             std::chrono::microseconds hold = {}) {
    constexpr milliseconds length(500);
    std::vector<contender> contenders{{"holdfast", [&] { return ours.contend(length, hold); }}};
    if (go != nullptr) {
        contenders.push_back({"Go's mutex", [&] { return go->contend(length, hold); }});
    }
    into.entrants = alternate(contenders, budget);
}

void measure_u16(finding& into, std::chrono::nanoseconds budget, int members) {
    const etcd_place place(members);
    const auto ours = place.ours(1, 16, "holdfast-each");
    const auto go = place.go(1, 16, true);
    contest(into, budget, *ours, go.get());
    judge_against_go(into, "", 1.3, members, go != nullptr);
    for (const entrant& each : into.entrants) {
        into.checks.push_back(check_waits(each));
    }
}

void measure_c44(finding& into, std::chrono::nanoseconds budget, int members, std::chrono::microseconds hold,
                 double limit) {
    const etcd_place place(members);
    const auto ours = place.ours(4, 4);
    const auto go = place.go(4, 4);
    contest(into, budget, *ours, go.get(), hold);
    into.checks.push_back(check_collisions(*ours));
    judge_against_go(into, "", limit, members, go != nullptr);
    into.checks.push_back(
        check_figure("fair", bound::none, 0, into.entrants[0].fairness(&worker_count::turns), ""));
    for (const entrant& each : into.entrants) {
        into.checks.push_back(check_waits(each));
    }
}

void measure_c16(finding& into, std::chrono::nanoseconds budget, int members) {
    const etcd_place place(members);
    c16 ours(place.url(), place.folder());
    const auto go = place.go(1, 16);
    ours.measure(into, budget, "Go's mutex", go.get());
    judge_against_go(into, "holdfast: ", members == 1 ? 6 : 2, members, go != nullptr, 1, 2);
}

/// How long one deletion takes that compares the create revision, after as long a pause as a hand-over has:
/// what the releaser sends, and nobody has heard of it yet.
slice deletions_after_rest(etcd_bare& bare, int times) {
    using clock = std::chrono::steady_clock;
    std::uniform_int_distribution<int> hold_ms(20, 80);
    std::mt19937 random{std::random_device{}()};
    slice result;
    const auto began = clock::now();
    for (int turn = 0; turn < times; ++turn) {
        bare.put();
        std::this_thread::sleep_for(milliseconds(hold_ms(random)));
        const auto at = clock::now();
        bare.erase();
        result.hand_overs_us.push_back(std::chrono::duration<double, std::micro>(clock::now() - at).count());
    }
    result.seconds = std::chrono::duration<double>(clock::now() - began).count();
    return result;
}

void measure_hand_over(finding& into, std::chrono::nanoseconds budget, int members) {
    const etcd_place place(members);
    const auto ours = place.ours(2, 1);
    const auto go = place.go(2, 1);
    etcd_bare bare(place.endpoint(), etcd_bare::shape::as_ours);
    std::vector<contender> contenders{{"holdfast", [&] { return ours->hand_over(8); }},
                                      {"one deletion", [&] { return deletions_after_rest(bare, 8); }}};
    if (go) {
        contenders.push_back({"Go's mutex", [&] { return go->hand_over(4); }});
    }
    into.entrants = alternate(contenders, budget);
    const auto speed = [](const slice& each) { return 1 / each.hand_over_p50_us(); };
    into.checks.push_back(check_figure("p50 <= 2 ms", bound::at_most, 2,
                                       into.entrants[0].sum().hand_over_p50_us() / 1000, "ms"));
    into.checks.push_back(check_figure("one bare deletion after the same pause: p50", bound::none, 0,
                                       into.entrants[1].sum().hand_over_p50_us() / 1000, "ms"));
    const std::string goal = ">= 30 x as fast as Go's mutex";
    if (go) {
        into.checks.push_back(
            check_ratio(goal, bound::at_least, 30, ratio(into.entrants[0], into.entrants[2], speed)));
        into.checks.push_back(check_figure("Go's mutex: p50", bound::none, 0,
                                           into.entrants[2].sum().hand_over_p50_us() / 1000, "ms"));
    } else {
        into.checks.push_back(not_measured(goal, no_go));
    }
}

} // namespace

void add_etcd_lines(std::vector<line>& lines) {
    using std::chrono::nanoseconds;
    for (const int members : {1, 3}) {
        const std::string where = on(members);
        const std::string after = members == 1 ? "" : "-three";
        const auto add = [&](const std::string& name, const std::string& compares, auto measure) {
            lines.push_back({"etcd", name + after, compares + where, std::move(measure)});
        };
        add("U1", "one thread, name free: a cycle, against bare transactions over gRPC",
            [members](finding& into, nanoseconds budget) { measure_u1(into, budget, members); });
        add("U16", "16 threads of one process, 16 names, against Go's concurrency.Mutex",
            [members](finding& into, nanoseconds budget) { measure_u16(into, budget, members); });
        add("C16",
            "16 threads of one process, one name, with local_hand_over and without, against Go's "
            "concurrency.Mutex",
            [members](finding& into, nanoseconds budget) { measure_c16(into, budget, members); });
        add("C44", "4 processes of 4 threads, one name, against Go's concurrency.Mutex",
            [members](finding& into, nanoseconds budget) {
                measure_c44(into, budget, members, {}, members == 1 ? 4 : 1.6);
            });
        add("C44-1ms", "the same, held for 1 ms", [members](finding& into, nanoseconds budget) {
            measure_c44(into, budget, members, milliseconds(1), 2);
        });
        add("hand-over",
            "release called to acquired in another process, held 20-80 ms, against Go's concurrency.Mutex",
            [members](finding& into, nanoseconds budget) { measure_hand_over(into, budget, members); });
    }
    add_etcd_crowd_lines(lines);
}

} // namespace holdfast::bench
