// A process of its own for the suite: takes turns on one name, or holds it until told otherwise.
//
//   worker turns URL NAME PERMITS TTL_MS THREADS TURNS   PERMITS 0: a mutex. One line per turn: "ACQUIRED
//   RELEASED TOKEN" worker hold  URL NAME PERMITS TTL_MS                 "held TOKEN", then "lost REASON", or
//   "released" after a line
//                                                        on standard input
//   worker check URL NAME PERMITS TTL_MS                 "held TOKEN", then after every line on standard
//   input what
//                                                        an inline check says, "valid" or "lost REASON", and
//                                                        at its end "released" or "not released"
// Times are nanoseconds on CLOCK_BOOTTIME, which all processes of the machine share.
#include <cstdio>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <holdfast/holdfast.hpp>

namespace {

using namespace std::chrono_literals;

struct request {
    std::string url;
    std::string name;
    std::uint32_t permits = 0;
    std::chrono::milliseconds ttl{};
};

holdfast::result<holdfast::held> acquire(const holdfast::locks& locks, const request& what) {
    return what.permits == 0 ? locks.mutex(what.name).acquire()
                             : locks.semaphore(what.name, what.permits).acquire();
}

std::int64_t boottime_ns() {
    return holdfast::now(holdfast::clock_source::boottime).time_since_epoch().count();
}

int take_turns(const request& what, int threads, int turns) {
    const auto locks = holdfast::connect(what.url, {.ttl = what.ttl});
    std::mutex output;
    std::vector<std::thread> workers;
    int failures = 0;
    for (int i = 0; i < threads; ++i) {
        workers.emplace_back([&] {
            for (int turn = 0; turn < turns; ++turn) {
                const std::int64_t called = boottime_ns();
                auto held = acquire(locks, what);
                const std::int64_t acquired = boottime_ns();
                if (!held) {
                    const std::scoped_lock locked(output);
                    std::cerr << held.error().message() << "\n";
                    ++failures;
                    return;
                }
                const std::uint64_t token = held->token().value();
                std::this_thread::yield();
                const std::int64_t released = boottime_ns();
                const auto outcome = held->release();
                const std::scoped_lock locked(output);
                if (!outcome) {
                    std::cerr << outcome.error().message() << "\n";
                    ++failures;
                }
                std::cout << called << " " << acquired << " " << released << " " << token << "\n";
            }
        });
    }
    for (auto& each : workers) {
        each.join();
    }
    return failures == 0 ? 0 : 1;
}

int hold(const request& what) {
    const auto locks = holdfast::connect(what.url, {.ttl = what.ttl});
    auto held = acquire(locks, what).value();
    const auto lost = held.lost();
    std::cout << "held " << held.token().value() << std::endl;
    std::mutex output;
    std::string line;
    {
        const std::stop_callback tell(lost, [&] {
            const std::scoped_lock locked(output);
            std::cout << "lost " << holdfast::to_string(held.reason()) << std::endl;
        });
        std::getline(std::cin, line);
    } // A callback that is still running is waited for here: it must not meet the release.
    const auto outcome = held.release();
    const std::scoped_lock locked(output);
    std::cout << (outcome ? "released" : "not released") << std::endl;
    return 0;
}

int check(const request& what) {
    const auto locks = holdfast::connect(what.url, {.ttl = what.ttl});
    auto held = acquire(locks, what).value();
    std::cout << "held " << held.token().value() << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
        const bool valid = held.valid_for() > 0s;
        std::cout << (valid ? "valid" : "lost " + std::string(holdfast::to_string(held.reason())))
                  << std::endl;
    }
    std::cout << (held.release() ? "released" : "not released") << std::endl;
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> args(argv + 1, argv + argc);
    if (args.size() < 5) {
        std::cerr << "worker turns|hold|check URL NAME PERMITS TTL_MS [THREADS TURNS]\n";
        return 64;
    }
    const request what{args[1], args[2], static_cast<std::uint32_t>(std::stoul(args[3])),
                       std::chrono::milliseconds(std::stol(args[4]))};
    if (args[0] == "check") {
        return check(what);
    }
    return args[0] == "turns" ? take_turns(what, std::stoi(args.at(5)), std::stoi(args.at(6))) : hold(what);
}
