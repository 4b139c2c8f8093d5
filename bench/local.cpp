// The lines of the local store: against a robust process-shared mutex, flock(2) and SQLite.
#include "engines.hpp"

#include <cerrno>
#include <fcntl.h>
#include <mutex>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <system_error>
#include <thread>
#include <unistd.h>

#include <holdfast/holdfast.hpp>

#include "checks.hpp"
#include "support/temp_dir.hpp"
#include "takers.hpp"
#include "turns.hpp"

namespace holdfast::bench {
namespace {

using std::chrono::milliseconds;

class robust_mutex {
  public:
    explicit robust_mutex(const std::string& path) {
        const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || ::ftruncate(fd, sizeof(pthread_mutex_t)) != 0) {
            throw std::system_error(errno, std::generic_category(), path);
        }
        void* memory = ::mmap(nullptr, sizeof(pthread_mutex_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ::close(fd);
        if (memory == MAP_FAILED) {
            throw std::system_error(errno, std::generic_category(), "mmap " + path);
        }
        mutex_ = static_cast<pthread_mutex_t*>(memory);
        pthread_mutexattr_t how;
        ::pthread_mutexattr_init(&how);
        ::pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
        ::pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
        ::pthread_mutex_init(mutex_, &how);
        ::pthread_mutexattr_destroy(&how);
    }
    robust_mutex(const robust_mutex&) = delete;
    robust_mutex& operator=(const robust_mutex&) = delete;
    ~robust_mutex() { ::munmap(mutex_, sizeof(pthread_mutex_t)); }

    void cycle() {
        ::pthread_mutex_lock(mutex_);
        ::pthread_mutex_unlock(mutex_);
    }

  private:
    pthread_mutex_t* mutex_;
};

class sqlite_lock {
  public:
    explicit sqlite_lock(const std::string& path) {
        checked(::sqlite3_open(path.c_str(), &database_));
        checked(::sqlite3_exec(database_, "CREATE TABLE t (x)", nullptr, nullptr, nullptr));
        checked(::sqlite3_prepare_v2(database_, "BEGIN IMMEDIATE", -1, &begin_, nullptr));
        checked(::sqlite3_prepare_v2(database_, "COMMIT", -1, &commit_, nullptr));
    }
    sqlite_lock(const sqlite_lock&) = delete;
    sqlite_lock& operator=(const sqlite_lock&) = delete;
    ~sqlite_lock() {
        ::sqlite3_finalize(begin_);
        ::sqlite3_finalize(commit_);
        ::sqlite3_close(database_);
    }

    void cycle() {
        run(begin_);
        run(commit_);
    }

  private:
    void run(sqlite3_stmt* statement) {
        if (::sqlite3_step(statement) != SQLITE_DONE) {
            throw std::runtime_error(std::string("SQLite: ") + ::sqlite3_errmsg(database_));
        }
        ::sqlite3_reset(statement);
    }
    void checked(int code) {
        if (code != SQLITE_OK) {
            throw std::runtime_error(std::string("SQLite: ") + ::sqlite3_errmsg(database_));
        }
    }

    sqlite3* database_ = nullptr;
    sqlite3_stmt* begin_ = nullptr;
    sqlite3_stmt* commit_ = nullptr;
};

std::string url_in(const testing::temp_dir& folder) {
    return "local:" + (folder / "locks").string();
}

void measure_u1(finding& into, std::chrono::nanoseconds budget) {
    const testing::temp_dir folder("holdfast-bench");
    auto ours = connect(url_in(folder)).mutex("bench");
    robust_mutex robust((folder / "robust").string());
    const auto flock = takers("flock", (folder / "flock").string(), "")();
    const auto ofd = takers("ofd", (folder / "ofd").string(), "")();
    sqlite_lock sqlite((folder / "sqlite").string());

    constexpr milliseconds length(60);
    into.entrants = alternate(
        {{"acquire, release",
          [&] { return cycles([&] { ours.acquire().value().release().value(); }, length, 1000); }},
         {"lock, unlock", [&] { return cycles([&] { const std::scoped_lock guard(ours); }, length, 1000); }},
         {"robust mutex", [&] { return cycles([&] { robust.cycle(); }, length, 1000); }},
         {"flock",
          [&] {
              return cycles(
                  [&] {
                      flock->acquire();
                      flock->release();
                  },
                  length, 100);
          }},
         {"SQLite", [&] { return cycles([&] { sqlite.cycle(); }, length, 10); }},
         {"OFD lock",
          [&] {
              return cycles(
                  [&] {
                      ofd->acquire();
                      ofd->release();
                  },
                  length, 100);
          }}},
        budget);
    const auto& peers = into.entrants;
    for (std::size_t form = 0; form < 2; ++form) {
        const std::string name = peers[form].name + ": ";
        into.checks.push_back(check_ratio(name + ">= 0.6 x a robust mutex", bound::at_least, 0.6,
                                          ratio(peers[form], peers[2], rate_of)));
        into.checks.push_back(
            check_ratio(name + ">= 60 x flock", bound::at_least, 60, ratio(peers[form], peers[3], rate_of)));
        into.checks.push_back(check_ratio(name + ">= 100 x SQLite", bound::at_least, 100,
                                          ratio(peers[form], peers[4], rate_of)));
    }
    for (const entrant& each : peers) {
        into.checks.push_back(
            check_figure(each.name + ": a pair", bound::none, 0, each.sum().ns_per_turn(), "ns"));
    }
}

void measure_contended(finding& into, std::chrono::nanoseconds budget, int processes, int threads,
                       bool with_goals) {
    const testing::temp_dir folder("holdfast-bench");
    const auto ours =
        crew::of_takers("holdfast", url_in(folder), "bench", processes, threads, folder / "board");
    const auto flock =
        crew::of_takers("flock", (folder / "flock").string(), "", processes, threads, folder / "board-flock");
    constexpr milliseconds length(400);
    into.entrants = alternate({{"holdfast", [&] { return ours->contend(length); }},
                               {"flock", [&] { return flock->contend(length); }}},
                              budget);
    const auto hand_overs = [](const slice& each) {
        double count = 0;
        for (const worker_count& one : each.workers) {
            count += static_cast<double>(one.hand_overs);
        }
        return count / each.seconds;
    };
    const entrant& mine = into.entrants[0];
    const double fair = mine.fairness(&worker_count::contended);
    const double rate = hand_overs(mine.sum());
    into.checks.push_back(check_collisions(*ours));
    if (with_goals) {
        into.checks.push_back(
            check_figure("fair <= 1.1, contended turns only", bound::at_most, 1.1, fair, ""));
        into.checks.push_back(check_figure("hand-overs/s >= 40000", bound::at_least, 40'000, rate, "/s"));
    } else {
        into.checks.push_back(check_figure("fair, contended turns only", bound::none, 0, fair, ""));
        into.checks.push_back(check_figure("hand-overs/s", bound::none, 0, rate, "/s"));
    }
    into.checks.push_back(
        check_ratio("hand-overs against flock's", bound::none, 0, ratio(mine, into.entrants[1], hand_overs)));
    for (const entrant& each : into.entrants) {
        into.checks.push_back(check_waits(each));
        into.checks.push_back(check_figure(each.name + ": fair, all turns", bound::none, 0,
                                           each.fairness(&worker_count::turns), ""));
    }
}

void measure_c16(finding& into, std::chrono::nanoseconds budget) {
    const testing::temp_dir folder("holdfast-bench");
    c16 ours(url_in(folder), folder.path());
    const auto flock =
        crew::of_takers("flock", (folder / "flock").string(), "", 1, 16, folder / "board-flock");
    ours.measure(into, budget, "flock", flock.get());
}

void measure_hand_over(finding& into, std::chrono::nanoseconds budget) {
    const testing::temp_dir folder("holdfast-bench");
    const auto ours = crew::of_takers("holdfast", url_in(folder), "bench", 2, 1, folder / "board");
    const auto flock =
        crew::of_takers("flock", (folder / "flock").string(), "", 2, 1, folder / "board-flock");
    const auto ofd = crew::of_takers("ofd", (folder / "ofd").string(), "", 2, 1, folder / "board-ofd");
    into.entrants = alternate({{"holdfast", [&] { return ours->hand_over(8); }},
                               {"flock", [&] { return flock->hand_over(8); }},
                               {"OFD lock", [&] { return ofd->hand_over(8); }}},
                              budget);
    const auto p50 = [](const slice& each) { return each.hand_over_p50_us(); };
    into.checks.push_back(check_ratio("p50 <= 1.1 x flock's", bound::at_most, 1.1,
                                      ratio(into.entrants[0], into.entrants[1], p50)));
    for (const entrant& each : into.entrants) {
        into.checks.push_back(
            check_figure(each.name + ": p50", bound::none, 0, each.sum().hand_over_p50_us(), "us"));
    }
}

void measure_hot_pair(finding& into, std::chrono::nanoseconds budget) {
    const testing::temp_dir folder("holdfast-bench");
    const auto ours = crew::of_takers("holdfast", url_in(folder), "bench", 2, 1, folder / "board");
    const auto flock =
        crew::of_takers("flock", (folder / "flock").string(), "", 2, 1, folder / "board-flock");
    constexpr milliseconds length(200);
    constexpr std::chrono::microseconds hold(2); // Long enough for the other one to come and stand in line.
    into.entrants = alternate({{"holdfast", [&] { return ours->contend(length, hold); }},
                               {"flock", [&] { return flock->contend(length, hold); }}},
                              budget);
    into.checks.push_back(check_collisions(*ours));
    const slice all = into.entrants[0].sum();
    if (std::thread::hardware_concurrency() < 2) {
        into.checks.push_back(not_measured("p50 <= 1 us", "two processes need two processors to be hot"));
    } else {
        into.checks.push_back(check_figure("p50 <= 1 us, release called to acquired by who was in line",
                                           bound::at_most, 1, all.passes.percentile(0.5) / 1000, "us"));
    }
    into.checks.push_back(check_figure("p90", bound::none, 0, all.passes.percentile(0.9) / 1000, "us"));
    for (const entrant& each : into.entrants) {
        const slice sum = each.sum();
        into.checks.push_back(check_figure(each.name + ": passed on to who was in line", bound::none, 0,
                                           static_cast<double>(sum.passes.total()) / sum.seconds, "/s"));
    }
}

void measure_takeover(finding& into, std::chrono::nanoseconds budget) {
    const testing::temp_dir folder("holdfast-bench");
    const auto ours = crew::of_takers("holdfast", url_in(folder), "bench", 2, 1, folder / "board");
    const auto flock =
        crew::of_takers("flock", (folder / "flock").string(), "", 2, 1, folder / "board-flock");
    constexpr int megabytes = 1024;
    into.entrants = alternate({{"holdfast", [&] { return ours->take_over(megabytes); }},
                               {"flock", [&] { return flock->take_over(megabytes); }}},
                              budget);
    into.checks.push_back(check_figure("p50 <= 2 ms, the killed holder had 1 GB resident", bound::at_most, 2,
                                       into.entrants[0].sum().hand_over_p50_us() / 1000, "ms"));
    into.checks.push_back(
        check_figure("flock: p50", bound::none, 0, into.entrants[1].sum().hand_over_p50_us() / 1000, "ms"));
}

} // namespace

void add_local_lines(std::vector<line>& lines) {
    lines.push_back(
        {"local", "U1",
         "one thread, name free: a pair of calls, against a robust process-shared mutex, flock(2) "
         "and SQLite's BEGIN IMMEDIATE, COMMIT",
         measure_u1});
    lines.push_back({"local", "8-processes", "8 processes of one thread, one name, against flock(2)",
                     [](finding& into, auto budget) { measure_contended(into, budget, 8, 1, true); }});
    lines.push_back({"local", "C16",
                     "16 threads of one process, one name, with local_hand_over and without, beside flock(2)",
                     measure_c16});
    lines.push_back({"local", "C44", "4 processes of 4 threads, one name, against flock(2)",
                     [](finding& into, auto budget) { measure_contended(into, budget, 4, 4, false); }});
    lines.push_back({"local", "hand-over", "release called to acquired in another process, held 20-80 ms",
                     measure_hand_over});
    lines.push_back({"local", "hot-pair", "two processes that pass one name to and fro, holding it for 2 us",
                     measure_hot_pair});
    lines.push_back({"local", "takeover",
                     "SIGKILL of a holder with 1 GB resident to acquired by who waits, against flock(2)",
                     measure_takeover});
}

} // namespace holdfast::bench
