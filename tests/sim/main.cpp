// The simulator's command: holdfast_sim [--seeds N] [--first K] [--seed K] [--jobs N] [--check-replay]
//
//   --seeds N        runs N seeds, in --jobs processes, and prints what happened
//   --seed K         runs one seed and prints its history
//   --check-replay   runs every seed twice, and compares
//
// Ends with 0 when no promise was broken and, of many seeds, every kind of fault has happened.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.hpp"

namespace holdfast::sim {
namespace {

struct command {
    std::uint64_t seeds = 1000;
    std::uint64_t first = 1;
    std::uint64_t jobs = std::max(1U, std::thread::hardware_concurrency());
    bool one = false;
    bool check_replay = false;
};

/// From this many seeds on, every kind of fault must have happened.
constexpr std::uint64_t enough = 500;

/// What one process did: seeds first, first + step, ...
struct part {
    tally count;
    std::uint64_t next = 0; ///< The seed in progress.
};

void report(std::uint64_t seed, const std::string& what) {
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), what.c_str());
    std::fflush(stdout);
}

void write_part(int to, const part& what) {
    if (write(to, &what, sizeof what) != static_cast<ssize_t>(sizeof what)) {
        _exit(4);
    }
}

/// Runs the seeds of one process, and tells `to` after each; where a run cannot be unwound the process ends.
[[noreturn]] void run_part(const command& how, std::uint64_t from, int to) {
    part mine;
    {
        kernel surroundings;
        for (std::uint64_t seed = from; seed < how.first + how.seeds; seed += how.jobs) {
            mine.next = seed;
            const auto stuck = [&](const std::string& why) {
                report(seed, why);
                ++mine.count.violations;
                ++mine.count.runs;
                mine.next = seed + how.jobs;
                write_part(to, mine);
            };
            const outcome result = run_seed(surroundings, seed, mine.count, stuck);
            for (const std::string& each : result.violations) {
                report(seed, each);
            }
            if (how.check_replay) {
                tally unused;
                if (run_seed(surroundings, seed, unused, stuck).fingerprint != result.fingerprint) {
                    report(seed, "did not replay: the second run differs");
                    ++mine.count.violations;
                }
            }
        }
        mine.next = how.first + how.seeds;
    }
    write_part(to, mine);
    _exit(0);
}

tally run_all(const command& how) {
    tally sum;
    struct child {
        pid_t pid;
        int from;
        std::uint64_t began;
    };
    std::vector<child> children;
    const auto spawn = [&](std::uint64_t from) {
        std::array<int, 2> ends{};
        if (pipe(ends.data()) != 0) {
            std::perror("pipe");
            std::exit(4);
        }
        std::fflush(stdout);
        const pid_t pid = fork();
        if (pid == 0) {
            close(ends[0]);
            // On one core a hand-over between threads costs least.
            cpu_set_t allowed;
            if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 1) {
                auto skip = (from - how.first) % how.jobs % static_cast<std::uint64_t>(CPU_COUNT(&allowed));
                cpu_set_t one;
                CPU_ZERO(&one);
                for (int i = 0; i < CPU_SETSIZE; ++i) {
                    if (CPU_ISSET(i, &allowed) && skip-- == 0) {
                        CPU_SET(i, &one);
                        break;
                    }
                }
                sched_setaffinity(0, sizeof one, &one);
            }
            run_part(how, from, ends[1]);
        }
        close(ends[1]);
        children.push_back({pid, ends[0], from});
    };
    for (std::uint64_t i = 0; i < std::min(how.jobs, how.seeds); ++i) {
        spawn(how.first + i);
    }
    while (!children.empty()) {
        std::vector<pollfd> ready;
        for (const child& each : children) {
            ready.push_back({each.from, POLLIN, 0});
        }
        poll(ready.data(), ready.size(), -1);
        for (std::size_t i = 0; i < ready.size(); ++i) {
            if (ready[i].revents == 0) {
                continue;
            }
            const child ended = children[i];
            children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
            part done;
            const bool whole = read(ended.from, &done, sizeof done) == static_cast<ssize_t>(sizeof done);
            int status = 0;
            waitpid(ended.pid, &status, 0);
            close(ended.from);
            if (!whole) {
                std::printf(
                    "a process of the simulator died (status %d), on a seed from %llu on in steps of %llu\n",
                    status, static_cast<unsigned long long>(ended.began),
                    static_cast<unsigned long long>(how.jobs));
                ++sum.violations;
                break;
            }
            sum.add(done.count);
            if (done.next < how.first + how.seeds) {
                spawn(done.next); // A run got stuck; the rest of its share goes on.
            }
            break;
        }
    }
    return sum;
}

bool print(const tally& sum, std::uint64_t seeds) {
    const auto line = [](std::string_view what, std::uint64_t count) {
        std::printf("  %-24.*s %12llu\n", static_cast<int>(what.size()), what.data(),
                    static_cast<unsigned long long>(count));
    };
    std::printf("operations\n");
    line("runs", sum.runs);
    line("acquires", sum.operations);
    line("granted", sum.granted);
    line("losses seen", sum.losses);
    line("guarded writes", sum.writes);
    line("stale writes refused", sum.refused_writes);
    line("steps", sum.steps);
    line("virtual seconds", sum.virtual_ms / 1000);
    line("longest recovery, ms", sum.longest_recovery_ms);
    std::printf("faults\n");
    bool all = true;
    for (std::size_t i = 0; i < fault_kinds; ++i) {
        line(fault_names[i], sum.faults[i]);
        if (sum.faults[i] == 0 && seeds >= enough) {
            std::printf("  this fault never happened: the run proves nothing about it\n");
            all = false;
        }
    }
    std::printf("violations %29llu\n", static_cast<unsigned long long>(sum.violations));
    return all && sum.violations == 0;
}

int replay(std::uint64_t seed) {
    kernel surroundings;
    surroundings.listener = [](const std::string& line) { std::printf("%s\n", line.c_str()); };
    tally count;
    const outcome result = run_seed(surroundings, seed, count, [&](const std::string& why) {
        report(seed, why);
        std::fflush(stdout);
    });
    print(count, 1);
    for (const std::string& each : result.violations) {
        report(seed, each);
    }
    std::printf("fingerprint %016llx\n", static_cast<unsigned long long>(result.fingerprint));
    return result.violations.empty() ? 0 : 1;
}

bool parse(int count, char** words, command& how) {
    for (int i = 1; i < count; ++i) {
        const std::string_view word = words[i];
        if (word == "--check-replay") {
            how.check_replay = true;
            continue;
        }
        char* end = nullptr;
        const std::uint64_t number = i + 1 < count ? std::strtoull(words[i + 1], &end, 10) : 0;
        if (end == nullptr || *end != '\0') {
            return false;
        }
        ++i;
        if (word == "--seeds") {
            how.seeds = number;
        } else if (word == "--first") {
            how.first = number;
        } else if (word == "--jobs" && number > 0) {
            how.jobs = number;
        } else if (word == "--seed") {
            how.one = true;
            how.first = number;
        } else {
            return false;
        }
    }
    return true;
}

} // namespace
} // namespace holdfast::sim

int main(int count, char** words) {
    holdfast::sim::command how;
    if (!holdfast::sim::parse(count, words, how)) {
        std::fprintf(stderr,
                     "usage: holdfast_sim [--seeds N] [--first K] [--seed K] [--jobs N] [--check-replay]\n");
        return 64;
    }
    if (how.one) {
        return holdfast::sim::replay(how.first);
    }
    const bool clean = holdfast::sim::print(holdfast::sim::run_all(how), how.seeds);
    return clean ? 0 : 1;
}
