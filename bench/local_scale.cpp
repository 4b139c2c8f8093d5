// The lines of the local store about many names, many waiters and doing nothing: what they cost a process.
#include "engines.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <malloc.h>
#include <map>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include <holdfast/holdfast.hpp>

#include "checks.hpp"
#include "support/detached.hpp"
#include "support/temp_dir.hpp"
#include "takers.hpp"

namespace holdfast::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int many = 10'000;

std::string url_in(const testing::temp_dir& folder) {
    return "local:" + (folder / "locks").string();
}

std::string name_of(int index) {
    return "name " + std::to_string(index);
}

double heap_bytes() {
    return static_cast<double>(::mallinfo2().uordblks);
}

double processor_seconds() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto all = [](const timeval& each) {
        return static_cast<double>(each.tv_sec) + static_cast<double>(each.tv_usec) / 1e6;
    };
    return all(used.ru_utime) + all(used.ru_stime);
}

/// How often each thread of this process has gone to sleep by itself.
std::map<std::string, long> sleeps() {
    std::map<std::string, long> all;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream status(each.path() / "status");
        for (std::string word; status >> word;) {
            if (word == "voluntary_ctxt_switches:") {
                status >> all[each.path().filename().string()];
            }
        }
    }
    return all;
}

void measure_held(finding& into, std::chrono::nanoseconds budget) {
    const testing::temp_dir folder("holdfast-bench");
    const auto locks = connect(url_in(folder), {.ttl = seconds(10)});
    static_cast<void>(
        locks.mutex("first").acquire().value()); // What the session itself needs is not counted.
    const double before = heap_bytes();
    std::vector<held> holds;
    holds.reserve(many);
    for (int index = 0; index < many; ++index) {
        holds.push_back(locks.mutex(name_of(index)).acquire().value());
    }
    const double bytes = (heap_bytes() - before) / many;
    const double busy = processor_seconds();
    const auto length = std::max<std::chrono::nanoseconds>(budget, seconds(7)); // Two renewals at least.
    std::this_thread::sleep_for(length);
    const double share = (processor_seconds() - busy) / std::chrono::duration<double>(length).count();
    into.checks.push_back(
        check_figure("< 1 % of a core while they are held", bound::at_most, 1, share * 100, "%"));
    into.checks.push_back(check_figure("<= 2 KiB each", bound::at_most, 2048, bytes, "bytes"));
    const bool valid = std::all_of(holds.begin(), holds.end(),
                                   [](const held& each) { return each.valid_for().count() > 0; });
    into.checks.push_back(check_figure("all of them are still valid", bound::at_least, 1, valid ? 1 : 0, ""));
}

testing::detached wait_for_it(mutex face, std::vector<held>& got, std::atomic<int>& count) {
    auto outcome = co_await face.acquire_async();
    if (outcome) {
        got[static_cast<std::size_t>(count.fetch_add(1))] = std::move(*outcome);
    }
}

void measure_waiting(finding& into, std::chrono::nanoseconds) {
    const testing::temp_dir folder("holdfast-bench");
    const auto theirs = connect(url_in(folder), {.ttl = seconds(60)});
    std::vector<held> holds;
    for (int index = 0; index < many; ++index) {
        holds.push_back(theirs.mutex(name_of(index)).acquire().value());
    }
    const auto ours = connect(url_in(folder), {.ttl = seconds(60)});
    static_cast<void>(ours.mutex("first").acquire().value());
    std::vector<held> got(many);
    std::atomic<int> count{0};
    const double before = heap_bytes();
    for (int index = 0; index < many; ++index) {
        wait_for_it(ours.mutex(name_of(index)), got, count);
    }
    const auto stand = [&] {
        const auto shown = ours.show(name_of(many - 1));
        return shown && shown->claims.size() == 2;
    };
    for (int turn = 0; turn < 6000 && !stand(); ++turn) {
        std::this_thread::sleep_for(milliseconds(10));
    }
    std::this_thread::sleep_for(milliseconds(300)); // The store's thread takes them over.
    const double bytes = (heap_bytes() - before) / many;
    const auto threads = static_cast<double>(sleeps().size());
    const auto slept = sleeps();
    const auto released = std::chrono::steady_clock::now();
    static_cast<void>(holds.front().release());
    for (int turn = 0; turn < 10'000 && count.load() == 0; ++turn) {
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    const auto took = std::chrono::steady_clock::now() - released;
    std::this_thread::sleep_for(milliseconds(50));
    into.checks.push_back(check_figure("<= 4 KiB each", bound::at_most, 4096, bytes, "bytes"));
    into.checks.push_back(
        check_figure("no thread each: threads of the process", bound::at_most, 20, threads, ""));
    into.checks.push_back(check_figure("a release wakes one", bound::at_most, 1, count.load(), "woken"));
    into.checks.push_back(check_figure("release called to woken, to 0.1 ms", bound::none, 0,
                                       std::chrono::duration<double, std::milli>(took).count(), "ms"));
    for (auto& each : holds) {
        static_cast<void>(each.release());
    }
    for (int turn = 0; turn < 6000 && count.load() < many; ++turn) {
        std::this_thread::sleep_for(milliseconds(10));
    }
    into.checks.push_back(check_figure("all are served in the end", bound::at_least, many, count.load(), ""));
}

void measure_idle(finding& into, std::chrono::nanoseconds budget) {
    const testing::temp_dir folder("holdfast-bench");
    constexpr seconds ttl(3);
    const auto locks = connect(url_in(folder), {.ttl = ttl});
    const auto mine = locks.mutex("bench").acquire().value();
    const auto lost = mine.lost(); // As a careful user: one more thread.
    std::this_thread::sleep_for(milliseconds(300));
    const auto before = sleeps();
    const auto length = std::max<std::chrono::nanoseconds>(budget, 3 * ttl);
    std::this_thread::sleep_for(length);
    long most = 0;
    long all = 0;
    for (const auto& [thread, count] : sleeps()) {
        const auto known = before.find(thread);
        const long fresh = count - (known == before.end() ? 0 : known->second);
        all += fresh;
        most = std::max(most, fresh);
    }
    const double thirds = std::chrono::duration<double>(length) / std::chrono::duration<double>(ttl) * 3;
    // The first and the last third may be cut; our own sleep is one.
    into.checks.push_back(check_figure("no thread wakes up more often than every TTL/3", bound::at_most,
                                       (thirds + 1) / thirds, static_cast<double>(most) / thirds,
                                       "per TTL/3"));
    into.checks.push_back(check_figure("all threads together", bound::none, 0,
                                       static_cast<double>(all - 1) / thirds, "per TTL/3"));
}

void measure_rotation(finding& into, std::chrono::nanoseconds budget) {
    const testing::temp_dir folder("holdfast-bench");
    const auto locks = connect(url_in(folder));
    std::vector<mutex> names;
    for (int index = 0; index < 1000; ++index) {
        names.push_back(locks.mutex(name_of(index)));
    }
    auto one = locks.mutex("one");
    std::size_t at = 0;
    constexpr milliseconds length(60);
    into.entrants =
        alternate({{"1,000 names in turn",
                    [&] {
                        return cycles(
                            [&] {
                                names[at].acquire().value().release().value();
                                at = at + 1 == names.size() ? 0 : at + 1;
                            },
                            length, 1000);
                    }},
                   {"one name",
                    [&] { return cycles([&] { one.acquire().value().release().value(); }, length, 1000); }}},
                  budget);
    for (const entrant& each : into.entrants) {
        into.checks.push_back(
            check_figure(each.name + ": a pair", bound::none, 0, each.sum().ns_per_turn(), "ns"));
    }
}

void measure_reader(finding& into, std::chrono::nanoseconds budget) {
    const testing::temp_dir folder("holdfast-bench");
    const auto locks = connect(url_in(folder));
    auto ours = locks.shared_mutex("bench");
    auto crowded = locks.shared_mutex("crowded");
    const auto other = locks.shared_mutex("crowded").acquire_shared().value();
    auto permits = locks.semaphore("permits", 3);
    const auto flock = takers("flock", (folder / "flock").string(), "")();
    constexpr milliseconds length(60);
    into.entrants = alternate(
        {{"acquire_shared, release",
          [&] { return cycles([&] { ours.acquire_shared().value().release().value(); }, length, 100); }},
         {"the same beside another reader",
          [&] { return cycles([&] { crowded.acquire_shared().value().release().value(); }, length, 100); }},
         {"one permit of three",
          [&] { return cycles([&] { permits.acquire().value().release().value(); }, length, 100); }},
         {"flock",
          [&] {
              return cycles(
                  [&] {
                      flock->acquire();
                      flock->release();
                  },
                  length, 100);
          }}},
        budget);
    for (const entrant& each : into.entrants) {
        into.checks.push_back(
            check_figure(each.name + ": a pair", bound::none, 0, each.sum().ns_per_turn(), "ns"));
    }
}

} // namespace

void add_local_scale_lines(std::vector<line>& lines) {
    lines.push_back(
        {"local", "10k-held", "10,000 names held by one process with a TTL of 10 s", measure_held});
    lines.push_back({"local", "10k-waiting", "10,000 coroutines of one process that wait for as many names",
                     measure_waiting});
    lines.push_back({"local", "idle", "a process that holds one name, with a TTL of 3 s, and does nothing",
                     measure_idle});
    lines.push_back({"local", "rotation", "1,000 names, one after another, by one thread", measure_rotation});
    lines.push_back({"local", "sole-reader",
                     "one reader, alone and beside another, and one permit, against flock(2)",
                     measure_reader});
}

} // namespace holdfast::bench
