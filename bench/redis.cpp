// The lines of the Redis store: against bare commands on one blocking connection, a token queue and
// the locks of redis-py and npm. Every line starts a server of its own.
#include "engines.hpp"

#include <algorithm>
#include <filesystem>
#include <malloc.h>
#include <stdexcept>
#include <thread>
#include <unistd.h>

#include <holdfast/holdfast.hpp>

#include "checks.hpp"
#include "crowd.hpp"
#include "redis_wire.hpp"
#include "support/servers.hpp"
#include "turns.hpp"

namespace holdfast::bench {
namespace {

using std::chrono::milliseconds;

/// A replay that does not take and free the lock would measure nothing.
void require_that_it_locks(redis_wire& wire, const captured_cycle& cycle, const std::string& name) {
    wire.send(cycle.acquire);
    const bool taken = wire.send({{"EXISTS", name}}) == 1;
    wire.send(cycle.release);
    const bool freed = wire.send({{"EXISTS", name}}) == 0;
    if (!taken || !freed) {
        throw std::runtime_error("the captured commands of a cycle do not lock when they are repeated");
    }
}

void measure_u1(finding& into, std::chrono::nanoseconds budget) {
    testing::redis_server server;
    const auto ours = takers("holdfast", server.url(), "bench-ours")();
    // The replay uses a name of its own, but of the same length.
    const auto copied = takers("holdfast", server.url(), "bench-copy")();
    const captured_cycle same = capture(server.port(), "bench-copy", *copied);
    redis_wire wire(server.port());
    require_that_it_locks(wire, same, "bench-copy");
    const std::string sha = wire.text({"SCRIPT", "LOAD", compare_and_delete});
    const std::string value = "0123456789abcdef0123456789abcdef.1";
    const std::vector<command> set{{"SET", "bench-bare", value, "NX", "PX", "10000"}};
    const std::vector<command> erase{{"EVALSHA", sha, "1", "bench-bare", value}};

    constexpr milliseconds length(100);
    into.entrants = alternate({{"holdfast",
                                [&] {
                                    return cycles(
                                        [&] {
                                            ours->acquire();
                                            ours->release();
                                        },
                                        length, 10);
                                }},
                               {"same commands",
                                [&] {
                                    return cycles(
                                        [&] {
                                            wire.send(same.acquire);
                                            wire.send(same.release);
                                        },
                                        length, 10);
                                }},
                               {"SET NX PX, EVALSHA",
                                [&] {
                                    return cycles(
                                        [&] {
                                            wire.send(set);
                                            wire.send(erase);
                                        },
                                        length, 10);
                                }}},
                              budget);
    into.checks.push_back(check_ratio(">= 0.95 x the same commands, one blocking connection", bound::at_least,
                                      0.95, ratio(into.entrants[0], into.entrants[1], rate_of)));
    into.checks.push_back(check_ratio(">= 0.85 x bare SET NX PX + EVALSHA", bound::at_least, 0.85,
                                      ratio(into.entrants[0], into.entrants[2], rate_of)));
    for (const entrant& each : into.entrants) {
        into.checks.push_back(
            check_figure(each.name + ": a pair", bound::none, 0, each.sum().ns_per_turn() / 1000, "us"));
    }
}

/// The locks of others, all of which poll; or why one is not there.
struct poller {
    std::string name;
    std::unique_ptr<crew> workers;
    std::string why_not;
};

std::string peer_file(const std::string& file) {
    return (own_folder() / "bench-peers" / file).string();
}

poller redis_py(int port, int processes, int threads) {
    poller made{.name = "redis-py Lock", .workers = nullptr, .why_not = "python3-redis is not installed"};
    // Debian's own interpreter: another one on the path does not see Debian's modules.
    const std::string python = "/usr/bin/python3";
    try {
        if (testing::run_process({python, "-c", "import redis"}, milliseconds(20'000)).status.ok()) {
            made.workers = crew::of_program({python, peer_file("redis_py_lock.py"), std::to_string(port),
                                             "bench-redis-py", std::to_string(threads)},
                                            processes);
        }
    } catch (const std::exception& failure) {
        made.why_not = failure.what();
    }
    return made;
}

poller of_npm(const std::string& name, const std::string& kind, int port, int processes, int threads) {
    poller made{.name = name, .workers = nullptr, .why_not = "make bench-peers has not installed it"};
    const auto folder = own_folder().parent_path() / "npm-peers";
    try {
        if (std::filesystem::exists(folder / "installed")) {
            made.workers =
                crew::of_program({"/usr/bin/env", "node", peer_file("redis_npm_lock.js"), folder.string(),
                                  kind, std::to_string(port), "bench-" + kind, std::to_string(threads)},
                                 processes);
        }
    } catch (const std::exception& failure) {
        made.why_not = failure.what();
    }
    return made;
}

std::vector<poller> start_pollers(int port, int processes, int threads) {
    std::vector<poller> made;
    made.push_back(redis_py(port, processes, threads));
    made.push_back(of_npm("node-redlock 4", "redlock4", port, processes, threads));
    made.push_back(of_npm("node-redlock 5", "redlock5", port, processes, threads));
    made.push_back(of_npm("redis-semaphore", "redis-semaphore", port, processes, threads));
    return made;
}

/// Those that are there, as they contend for so long.
std::vector<contender> contenders_of(const std::vector<poller>& pollers, milliseconds length) {
    std::vector<contender> made;
    for (const poller& each : pollers) {
        if (each.workers) {
            made.push_back({each.name, [&each, length] { return each.workers->contend(length); }});
        }
    }
    return made;
}

/// Ours is above each of them, which are the entrants from `place` on.
void check_pollers(finding& into, const entrant& mine, const std::vector<poller>& pollers,
                   std::size_t place) {
    for (const poller& each : pollers) {
        const std::string goal = "> " + each.name + ", which polls";
        into.checks.push_back(
            each.workers ? check_ratio(goal, bound::at_least, 1, ratio(mine, into.entrants[place], rate_of))
                         : not_measured(goal, each.why_not));
        place += each.workers ? 1 : 0;
    }
}

/// The token queue that a goal is measured against, with its one token.
std::unique_ptr<crew> start_queue(const testing::redis_server& server, int processes, int threads) {
    redis_wire(server.port()).send({{"RPUSH", "bench-queue", "1"}});
    return crew::of_takers("redis-queue", std::to_string(server.port()), "bench-queue", processes, threads,
                           server.folder() / "board-queue");
}

void measure_c44(finding& into, std::chrono::nanoseconds budget) {
    testing::redis_server server;
    const auto ours =
        crew::of_takers("holdfast", server.url(), "bench", 4, 4, server.folder() / "board-ours");
    const auto queue = start_queue(server, 4, 4);
    const auto pollers = start_pollers(server.port(), 4, 4);

    constexpr milliseconds length(400);
    std::vector<contender> contenders{{"holdfast", [&] { return ours->contend(length); }},
                                      {"BLPOP queue", [&] { return queue->contend(length); }}};
    const auto others = contenders_of(pollers, length);
    contenders.insert(contenders.end(), others.begin(), others.end());
    into.entrants = alternate(contenders, budget);
    const entrant& mine = into.entrants[0];
    into.checks.push_back(check_collisions(*ours));
    into.checks.push_back(check_ratio(">= 0.7 x a BLPOP token queue", bound::at_least, 0.7,
                                      ratio(mine, into.entrants[1], rate_of)));
    into.checks.push_back(
        check_figure("fair <= 1.1", bound::at_most, 1.1, mine.fairness(&worker_count::turns), ""));
    into.checks.push_back(check_figure("p99 of waits <= 10 ms", bound::at_most, 10,
                                       mine.sum().waits.percentile(0.99) / 1e6, "ms"));
    check_pollers(into, mine, pollers, 2);
    for (const entrant& each : into.entrants) {
        into.checks.push_back(check_waits(each));
    }
    for (std::size_t peer = 1; peer < into.entrants.size(); ++peer) {
        into.checks.push_back(check_figure(into.entrants[peer].name + ": fair (0: a worker starved)",
                                           bound::none, 0, into.entrants[peer].fairness(&worker_count::turns),
                                           ""));
    }
}

void measure_c16(finding& into, std::chrono::nanoseconds budget) {
    testing::redis_server server;
    c16 ours(server.url(), server.folder());
    const auto queue = start_queue(server, 1, 16);
    const auto pollers = start_pollers(server.port(), 1, 16);
    ours.measure(into, budget, "BLPOP queue", queue.get(), contenders_of(pollers, milliseconds(400)));
    into.checks.push_back(check_ratio("holdfast: >= 0.7 x a BLPOP token queue", bound::at_least, 0.7,
                                      ratio(into.entrants[1], into.entrants[2], rate_of)));
    into.checks.push_back(check_figure("holdfast: fair <= 1.1", bound::at_most, 1.1,
                                       into.entrants[1].fairness(&worker_count::turns), ""));
    into.checks.push_back(check_figure("holdfast: p99 of waits <= 10 ms", bound::at_most, 10,
                                       into.entrants[1].sum().waits.percentile(0.99) / 1e6, "ms"));
    check_pollers(into, into.entrants[1], pollers, 3);
}

/// Several at once on names of their own: one connection for all of them, against one for each.
void measure_u16(finding& into, std::chrono::nanoseconds budget) {
    testing::redis_server server;
    const auto ours =
        crew::of_takers("holdfast-each", server.url(), "bench", 1, 16, server.folder() / "board-ours");
    const auto bare = crew::of_takers("redis-bare-each", std::to_string(server.port()), "bench-bare", 1, 16,
                                      server.folder() / "board-bare");
    constexpr milliseconds length(400);
    into.entrants = alternate({{"holdfast", [&] { return ours->contend(length); }},
                               {"16 connections", [&] { return bare->contend(length); }}},
                              budget);
    into.checks.push_back(check_ratio(">= 1.3 x SET NX PX + EVALSHA on 16 blocking connections",
                                      bound::at_least, 1.3,
                                      ratio(into.entrants[0], into.entrants[1], rate_of)));
    for (const entrant& each : into.entrants) {
        into.checks.push_back(check_waits(each));
        into.checks.push_back(check_figure(each.name + ": fair (0: a worker starved)", bound::none, 0,
                                           each.fairness(&worker_count::turns), ""));
    }
}

/// Held for a millisecond: the ideal is a thousand turns a second.
void measure_1ms(finding& into, std::chrono::nanoseconds budget) {
    testing::redis_server server;
    const auto ours =
        crew::of_takers("holdfast", server.url(), "bench", 4, 4, server.folder() / "board-ours");
    const auto queue = start_queue(server, 4, 4);
    constexpr milliseconds length(400);
    into.entrants = alternate({{"holdfast", [&] { return ours->contend(length, milliseconds(1)); }},
                               {"BLPOP queue", [&] { return queue->contend(length, milliseconds(1)); }}},
                              budget);
    into.checks.push_back(
        check_figure(">= 0.9 of the ideal", bound::at_least, 0.9, into.entrants[0].sum().rate() / 1000, ""));
    for (const entrant& each : into.entrants) {
        into.checks.push_back(check_waits(each));
        into.checks.push_back(check_figure(each.name + ": fair (0: a worker starved)", bound::none, 0,
                                           each.fairness(&worker_count::turns), ""));
    }
}

/// Seconds of processor time that the server has used.
double server_time(redis_wire& of) {
    const std::string info = of.text({"INFO", "cpu"});
    const auto field = [&](const std::string& key) {
        return std::stod(info.substr(info.find(key + ":") + key.size() + 1));
    };
    return field("used_cpu_user_main_thread") + field("used_cpu_sys_main_thread");
}

/// What it costs to hold many names and do nothing: one TTL of renewals.
void measure_many(finding& into, std::chrono::nanoseconds) {
    constexpr int count = 10'000;
    constexpr std::chrono::seconds ttl(10);
    testing::redis_server server;
    redis_wire wire(server.port());
    const auto on = connect(server.url(), {.ttl = ttl});
    on.mutex("first").acquire().value().release().value(); // The session is open.
    const double bytes_before = static_cast<double>(mallinfo2().uordblks);
    std::vector<held> all;
    all.reserve(count);
    for (int i = 0; i < count; ++i) {
        all.push_back(on.mutex("bench-" + std::to_string(i)).acquire().value());
    }
    const double bytes = static_cast<double>(mallinfo2().uordblks) - bytes_before;
    std::this_thread::sleep_for(ttl / 3);
    const double before = server_time(wire);
    std::this_thread::sleep_for(ttl);
    const double share = (server_time(wire) - before) / std::chrono::duration<double>(ttl).count();
    const auto lost = std::count_if(all.begin(), all.end(), [](const held& each) { return each.is_lost(); });
    into.checks.push_back(check_figure("none is lost", bound::at_most, 0, static_cast<double>(lost), ""));
    into.checks.push_back(
        check_figure("about 1 % of a server core at TTL 10 s", bound::at_most, 1.5, share * 100, "%"));
    into.checks.push_back(check_figure("<= 2 KiB each", bound::at_most, 2048, bytes / count, "bytes"));
}

/// What it costs to wait for many names: one process with as many coroutines.
void measure_waiters(finding& into, std::chrono::nanoseconds) {
    testing::redis_server server;
    crowd_process crowd(server.url(), 10'000, milliseconds(10'000));
    const auto held = crowd.answer("held");
    const auto waiting = crowd.ask("wait", "waiting");
    into.checks.push_back(
        check_figure("<= 4 KiB each", bound::at_most, 4096, static_cast<double>(waiting.at(0)), "bytes"));
    into.checks.push_back(check_figure("no thread each: threads more than while it only held", bound::at_most,
                                       16, static_cast<double>(waiting.at(1) - held.at(1)), ""));
    into.checks.push_back(check_figure("a release wakes one", bound::at_most, 1,
                                       static_cast<double>(crowd.ask("free", "woken").at(0)), ""));
}

void measure_hand_over(finding& into, std::chrono::nanoseconds budget) {
    testing::redis_server server;
    const auto ours = crew::of_takers("holdfast", server.url(), "bench", 2, 1, server.folder() / "board");
    const auto pollers = start_pollers(server.port(), 2, 1);
    std::vector<contender> contenders{{"holdfast", [&] { return ours->hand_over(8); }}};
    for (const poller& each : pollers) {
        if (each.workers) {
            contenders.push_back({each.name, [&] { return each.workers->hand_over(4); }});
        }
    }
    into.entrants = alternate(contenders, budget);
    into.checks.push_back(check_figure("p50 <= 0.3 ms", bound::at_most, 0.3,
                                       into.entrants[0].sum().hand_over_p50_us() / 1000, "ms"));
    std::size_t place = 1;
    for (const poller& each : pollers) {
        const std::string figure = each.name + ": p50";
        into.checks.push_back(each.workers
                                  ? check_figure(figure, bound::none, 0,
                                                 into.entrants[place].sum().hand_over_p50_us() / 1000, "ms")
                                  : not_measured(figure, each.why_not));
        place += each.workers ? 1 : 0;
    }
}

} // namespace

void add_redis_lines(std::vector<line>& lines) {
    lines.push_back({"redis", "U1",
                     "one thread, name free: a cycle, against the same commands and against bare SET NX PX + "
                     "compare-and-delete, each on one blocking connection",
                     measure_u1});
    lines.push_back({"redis", "C16",
                     "16 threads of one process, one name, with local_hand_over and without, against a BLPOP "
                     "token queue without TTL, redis-py's Lock, node-redlock and redis-semaphore",
                     measure_c16});
    lines.push_back({"redis", "C44",
                     "4 processes of 4 threads, one name, against a BLPOP token queue without TTL, "
                     "redis-py's Lock, node-redlock and redis-semaphore",
                     measure_c44});
    lines.push_back({"redis", "U16",
                     "16 threads of one process, 16 names, against 16 blocking connections doing SET NX PX + "
                     "compare-and-delete",
                     measure_u16});
    lines.push_back({"redis", "C44-1ms",
                     "4 processes of 4 threads, one name, held for 1 ms, beside a BLPOP token queue",
                     measure_1ms});
    lines.push_back({"redis", "10000-waiters",
                     "one process that holds 10,000 names, and 10,000 coroutines of it that wait for them",
                     measure_waiters});
    lines.push_back(
        {"redis", "10000-names", "one process holds 10,000 names at TTL 10 s for 10 s", measure_many});
    lines.push_back({"redis", "hand-over",
                     "release called to acquired in another process, held 20-80 ms, beside redis-py's Lock, "
                     "node-redlock and redis-semaphore",
                     measure_hand_over});
}

} // namespace holdfast::bench
