// Breaks a real store under load, again and again, and says which promise was broken (CONTRIBUTING.md).
//
//   holdfast_chaos --store etcd|redis [--seconds N] [--seed S] [--only TROUBLE]
//
// A seed gives the same troubles in the same order, with the same members and lengths; what the threads make
// of it is the machine's. Exit codes: 0 every promise was kept, 1 one was broken, 64 usage.
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include "rig.hpp"
#include "workload.hpp"

#include "support/wait_for.hpp"

#if defined(HOLDFAST_HAS_ETCD)
#include "etcd_rig.hpp"
#endif
#if defined(HOLDFAST_HAS_REDIS)
#include "redis_rig.hpp"
#endif

namespace holdfast::chaos {
namespace {

using namespace std::chrono_literals;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

constexpr auto ttl = 3s;
constexpr auto promised_within = ttl + 5s;
constexpr auto patience = 4 * promised_within; ///< What a machine may make of it that has other things to do.
constexpr auto told_within = 2s;               ///< After a revocation; promised is 1 s.

using rigs = std::map<std::string, std::function<std::unique_ptr<rig>()>>;

rigs all_rigs() {
    rigs all;
#if defined(HOLDFAST_HAS_ETCD)
    all["etcd"] = [] { return std::make_unique<etcd_rig>(); };
#endif
#if defined(HOLDFAST_HAS_REDIS)
    all["redis"] = [] { return std::make_unique<redis_rig>(ttl); };
#endif
    return all;
}

struct wishes {
    std::string store;
    std::chrono::seconds length = 60s;
    std::optional<std::uint64_t> seed;
    std::string only;
};

std::optional<wishes> read(int argc, char** argv) {
    wishes out;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view option = argv[i];
        if (option == "--store") {
            out.store = argv[i + 1];
        } else if (option == "--seconds") {
            out.length = std::chrono::seconds(std::stol(argv[i + 1]));
        } else if (option == "--seed") {
            out.seed = std::stoull(argv[i + 1]);
        } else if (option == "--only") {
            out.only = argv[i + 1];
        } else {
            return {};
        }
    }
    return argc % 2 == 1 && !out.store.empty() ? std::optional(out) : std::nullopt;
}

double seconds_since(instant start) {
    return std::chrono::duration<double>(now(clock_source::boottime) - start).count();
}

/// One run; returns how many promises were broken.
class run {
  public:
    run(rig& on, const wishes& how, std::uint64_t seed)
        : rig_(on), how_(how), dice_(seed), clients_(on.urls().size()),
          work_({.urls = on.urls(), .stem = "chaos", .ttl = ttl, .seed = seed}) {}

    int all() {
        const instant start = now(clock_source::boottime);
        come_through(start, "the beginning");
        for (int step = 1; broken_ == 0 && now(clock_source::boottime) < start + how_.length; ++step) {
            const trouble& what = chosen();
            const auto length = duration_cast<milliseconds>(dice_.between(100ms, 2 * ttl));
            sim::dice own = dice_.fork();
            const tally before = work_.so_far();
            std::printf("%7.1f s  %3d %-26s %5lld ms", seconds_since(start), step, what.name.c_str(),
                        static_cast<long long>(length.count()));
            std::fflush(stdout);
            if (dice_.permille(500)) {
                work_.cling(dice_.below(clients_));
            }
            work_.allow_overlap(what.forgets ? ttl : what.revokes ? told_within : 0s);
            what.begin(own);
            std::this_thread::sleep_for(length);
            const auto during = work_.so_far().turns - before.turns;
            what.heal();
            work_.cling({});
            const double healed = come_through(now(clock_source::boottime), what.name);
            const tally after = work_.so_far();
            std::printf(
                "  %6llu turns meanwhile, all served %.1f s after; lost %llu, failed %llu, unknown %llu\n",
                static_cast<unsigned long long>(during), healed,
                static_cast<unsigned long long>(after.lost - before.lost),
                static_cast<unsigned long long>(after.failed - before.failed),
                static_cast<unsigned long long>(after.unknown - before.unknown));
            work_.allow_overlap(0s);
            tell(work_.broken());
        }
        work_.finish();
        std::vector<std::string> left;
        if (!testing::wait_for([&] { return (left = rig_.left_behind()).empty(); }, patience)) {
            for (std::string& one : left) {
                one = "left behind: " + one;
            }
            tell(left);
        }
        const tally whole = work_.so_far();
        std::printf(
            "%llu turns, %llu lost; %d broken promises; slowest to come through: %.1f s of %lld s promised\n",
            static_cast<unsigned long long>(whole.turns), static_cast<unsigned long long>(whole.lost),
            broken_, slowest_, static_cast<long long>(std::chrono::seconds(promised_within).count()));
        return broken_;
    }

  private:
    const trouble& chosen() {
        const auto& all = rig_.troubles();
        for (const trouble& one : all) {
            if (one.name == how_.only) {
                return one;
            }
        }
        return all.at(dice_.below(all.size()));
    }

    double come_through(instant since, const std::string& after) {
        const auto served = [&] { return work_.all_served_since(since); };
        if (!testing::wait_for(served, promised_within)) {
            std::printf("\n          slow: %s", work_.unserved_since(since).c_str());
            std::fflush(stdout);
        }
        if (!testing::wait_for(served, patience)) {
            tell({"not served after " + after + ": " + work_.unserved_since(since)});
        }
        const double took = seconds_since(since);
        slowest_ = std::max(slowest_, took);
        return took;
    }

    void tell(const std::vector<std::string>& broken) {
        for (const std::string& one : broken) {
            std::printf("BROKEN %s\n", one.c_str());
            ++broken_;
        }
    }

    rig& rig_;
    const wishes& how_;
    sim::dice dice_;
    const std::size_t clients_;
    workload work_;
    int broken_ = 0;
    double slowest_ = 0;
};

int chaos(const wishes& how) {
    const auto all = all_rigs();
    const auto found = all.find(how.store);
    if (found == all.end()) {
        std::string known;
        for (const auto& [name, make] : all) {
            known += " STORE=" + name;
        }
        std::cerr << "make chaos breaks real servers:" << known << "\n";
        return 64;
    }
    const std::uint64_t seed = how.seed.value_or(std::random_device{}());
    std::cout << "make chaos STORE=" << how.store << " SECONDS=" << how.length.count() << " SEED=" << seed
              << std::endl;
    const auto on = found->second();
    return run(*on, how, seed).all() == 0 ? 0 : 1;
}

} // namespace
} // namespace holdfast::chaos

int main(int argc, char** argv) {
    const auto how = holdfast::chaos::read(argc, argv);
    if (!how) {
        std::cerr << "usage: holdfast_chaos --store STORE [--seconds N] [--seed S] [--only TROUBLE]\n";
        return 64;
    }
    try {
        return holdfast::chaos::chaos(*how);
    } catch (const std::exception& why) {
        std::cerr << "chaos: " << why.what() << "\n";
        return 1;
    }
}
