// A process that uses the local store, for the tests to start, stop and kill.
//
//   hammer FOLDER JOURNAL NAME PERMITS TTL_MS THREADS
//     acquires and releases until its standard input ends; PERMITS 0: a mutex, "rw": a shared mutex, read by
//     most
//   hold FOLDER NAME TTL_MS
//     prints "held TOKEN", and after a line of input "released" or the error's message; TTL_MS 0: until death
//   hold-later FOLDER NAME TTL_MS
//     the same without a thread, see options::threads_later
//   hold-shared FOLDER NAME TTL_MS
//     the same as a reader, by its thread's own way in
//   hold-untold FOLDER NAME TTL_MS
//     holds as if no inotify instance were left, and prints "lost REASON" when it hears of that
//   endure FOLDER THREADS WATCHES
//     uses names of every kind until the store is refused, and then prints "refused" and why; WATCHES 0:
//     without inotify. Prints "going" before
//   be-cut FOLDER CATCH
//     holds, cuts the segment short, goes on using it, and prints what became of the hold and of the next;
//     CATCH 0: with options::catch_sigbus off
//   bus FOLDER HOW
//     handles SIGBUS itself ("plain", "info": by a handler, which prints "handled" and exits; "ignored"),
//     opens the store, and is then sent one; then prints "went on"
//   hold-exec FOLDER NAME TTL_MS
//     the same, but becomes another program then, which sleeps
//   hold-dump FOLDER NAME TTL_MS MB
//     the same with so much in memory, but dumps core then
//   hold-many FOLDER COUNT
//     holds "name 0" to "name COUNT-1" and prints "held"; after "I" prints the instant and releases "name I"
//   lines FOLDER
//     makes lines of every kind, prints "ready" and waits
//   probe FOLDER
//     uses what lines has made, bounded; prints "fine", or "refused" and why
//   change_over FOLDER SEMAPHORE PERMITS NAME
//     holds a permit, prints "held TOKEN"; after a line of input releases it, locks the mutex and prints that
//   forking_hold FOLDER NAME FD TTL_MS
//     holds, forks a child that lives on, writes the child's pid to the descriptor, and is killed
#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

#include <holdfast/holdfast.hpp>

#include "local/journal.hpp"
#include "local/place.hpp"

namespace {

using namespace holdfast;
using std::chrono::milliseconds;

/// What a worker hammers, in one shape of access: a try, a bounded wait and an unbounded one take different
/// ways through the store.
struct access {
    std::uint32_t weight; ///< In the journal: of the capacity that the checker is told.
    std::function<result<held>()> attempt;
    std::function<result<held>()> bounded;
    std::function<result<held>()> acquire;
    std::uint32_t name = 0;
};

constexpr milliseconds short_wait{5};

access exclusive(mutex face) {
    return {testing::journal_capacity, [face]() mutable { return face.try_acquire(); },
            [face]() mutable { return face.try_acquire_for(short_wait); },
            [face]() mutable { return face.acquire(); }};
}

access writing(shared_mutex face) {
    return {testing::journal_capacity, [face]() mutable { return face.try_acquire(); },
            [face]() mutable { return face.try_acquire_for(short_wait); },
            [face]() mutable { return face.acquire(); }};
}

access reading(shared_mutex face) {
    return {1, [face]() mutable { return face.try_acquire_shared(); },
            [face]() mutable { return face.try_acquire_shared_for(short_wait); },
            [face]() mutable { return face.acquire_shared(); }};
}

access taking(semaphore face, std::uint32_t permits) {
    return {permits, [face, permits]() mutable { return face.try_acquire(permits); },
            [face, permits]() mutable { return face.try_acquire_for(permits, short_wait); },
            [face, permits]() mutable { return face.acquire(permits); }};
}

/// False when something was refused that need not be. The loss of a session may be: a busy machine can keep a
/// process from renewing one of some seconds in time.
bool one_turn(const access& way, testing::journal& notes, std::size_t turn, bool may_expire) {
    auto held = turn % 16 == 0 ? way.attempt() : turn % 16 == 1 ? way.bounded() : way.acquire();
    if (!held) {
        const errc code = held.error().code();
        const bool expected =
            code == errc::busy || code == errc::timed_out || (may_expire && code == errc::lost);
        if (!expected) {
            std::cerr << held.error().message() << std::endl;
        }
        return expected;
    }
    auto* note = notes.begin(held->token().value(), way.weight, way.name);
    if (turn % 64 == 0) {
        std::this_thread::sleep_for(milliseconds(1));
    }
    testing::journal::end(note);
    const auto released = held->release();
    if (!released && !(may_expire && released.error().code() == errc::lost)) {
        std::cerr << released.error().message() << std::endl;
        return false;
    }
    return true;
}

/// What a thread of a worker does at each of its turns.
std::function<access(std::size_t turn)> ways_in(const locks& on, const std::string& name,
                                                const std::string& permits) {
    if (permits == "names") {
        // So many that most of what a dead process has left is found by nobody before its place is taken.
        return [=, random = std::mt19937(std::random_device{}())](std::size_t) mutable {
            const auto which = static_cast<std::uint32_t>(random() % 3000);
            access way = exclusive(on.mutex(name + " " + std::to_string(which)));
            way.name = which;
            return way;
        };
    }
    std::vector<access> ways;
    if (permits == "0") {
        ways = {exclusive(on.mutex(name))};
    } else if (permits == "rw") {
        const auto face = on.shared_mutex(name);
        ways = {reading(face), writing(face), reading(face)};
    } else { // A way in is for one number of permits, and each face has its own.
        const auto all = static_cast<std::uint32_t>(std::stoul(permits));
        const auto some = [&](std::uint32_t wanted) { return taking(on.semaphore(name, all), wanted); };
        ways = {some(1), some(std::min(2U, all)), some(all)};
    }
    // An odd number of them, so that each is tried, is bounded and waits in turn.
    return [ways](std::size_t turn) { return ways[turn % ways.size()]; };
}

int hammer(const std::vector<std::string>& words) {
    const auto locks = connect("local:" + words[1], {.ttl = milliseconds(std::stoi(words[5]))});
    const bool may_expire = std::stoi(words[5]) < 600'000;
    testing::journal notes(words[2]);
    std::atomic<bool> stop{false};
    std::atomic<bool> good{true};
    std::vector<std::thread> threads;
    for (int i = 0; i < std::stoi(words[6]); ++i) {
        threads.emplace_back([&] {
            const auto next = ways_in(locks, words[3], words[4]);
            for (std::size_t turn = 0; !stop.load() && good.load(); ++turn) {
                if (!one_turn(next(turn), notes, turn, may_expire)) {
                    good.store(false);
                }
            }
        });
    }
    std::cout << "ready" << std::endl;
    std::string line;
    while (std::getline(std::cin, line)) {
    }
    stop.store(true);
    for (auto& each : threads) {
        each.join();
    }
    return good.load() ? 0 : 1;
}

std::chrono::nanoseconds ttl_of(const std::string& ms) {
    return ms == "0" ? until_death : milliseconds(std::stoi(ms));
}

/// The third acquisition of a face on is by its thread's own way in.
result<held> acquire_shared(shared_mutex face) {
    for (int turn = 0; turn < 3; ++turn) {
        face.acquire_shared().value().release().value();
    }
    return face.acquire_shared();
}

int hold(const std::vector<std::string>& words) {
    const bool later = words[0] == "hold-later";
    const auto locks = connect("local:" + words[1], {.ttl = ttl_of(words[3]), .threads_later = later});
    auto mutex = locks.mutex(words[2]);
    auto held = words[0] == "hold-shared" ? acquire_shared(locks.shared_mutex(words[2]))
                : later                   ? mutex.try_acquire()
                                          : mutex.acquire();
    if (!held) {
        std::cout << held.error().message() << std::endl;
        return 1;
    }
    std::cout << "held " << held->token().value() << std::endl;
    std::string line;
    std::getline(std::cin, line);
    if (words[0] == "hold-exec") {
        execlp("sleep", "sleep", "600", nullptr);
        return 1;
    }
    if (words[0] == "hold-dump") {
        const std::vector<char> memory(std::stoul(words[4]) << 20, 'x');
        const rlimit any{RLIM_INFINITY, RLIM_INFINITY};
        if (setrlimit(RLIMIT_CORE, &any) != 0 || chdir(words[1].c_str()) != 0) {
            return 1;
        }
        std::cout << "dumping " << memory.size() << std::endl;
        std::abort();
    }
    const auto released = held->release();
    std::cout << (released ? "released" : released.error().message()) << std::endl;
    return 0;
}

int hold_untold(const std::vector<std::string>& words) {
    local::pretend_no_inotify(true);
    const auto locks = connect("local:" + words[1], {.ttl = ttl_of(words[3])});
    auto held = locks.mutex(words[2]).acquire();
    if (!held) {
        std::cout << held.error().message() << std::endl;
        return 1;
    }
    std::cout << "held " << held->token().value() << std::endl;
    std::atomic<bool> lost{false};
    const std::stop_callback hears(held->lost(), [&lost] {
        lost.store(true);
        lost.notify_all();
    });
    lost.wait(false);
    std::cout << "lost " << to_string(held->reason()) << std::endl;
    return 0;
}

int endure(const std::vector<std::string>& words) {
    local::pretend_no_inotify(words[3] == "0");
    const options how{.ttl = milliseconds(900), .op_timeout = milliseconds(50)};
    auto connected = try_connect("local:" + words[1], how);
    for (int turn = 0; !connected && turn < 200; ++turn) { // Somebody else takes his time to make it.
        connected = try_connect("local:" + words[1], how);
    }
    const auto locks = connected.value();
    std::atomic<int> turns{0};
    std::atomic<bool> going{false};
    std::mutex guard;
    std::string refusal;
    std::vector<std::thread> threads;
    for (int i = 0; i < std::stoi(words[2]); ++i) {
        threads.emplace_back([&] {
            auto mutex = locks.mutex("mutex");
            auto shared = locks.shared_mutex("shared");
            auto permits = locks.semaphore("permits", 2);
            for (int turn = 0;; ++turn) {
                auto held = turn % 5 == 0   ? mutex.acquire()
                            : turn % 5 == 1 ? shared.acquire_shared()
                            : turn % 5 == 2 ? permits.acquire()
                            : turn % 5 == 3 ? mutex.try_acquire_for(milliseconds(50))
                                            : locks.mutex("new " + std::to_string(turn % 1000)).try_acquire();
                if (!held && held.error().code() == errc::unavailable) {
                    const std::lock_guard locked(guard);
                    refusal = held.error().message();
                    return;
                }
                if (held && turn % 16 == 0) {
                    static_cast<void>(held->lost());
                }
                if (++turns == 200) {
                    going.store(true);
                    going.notify_all();
                }
            }
        });
    }
    going.wait(false);
    std::cout << "going" << std::endl;
    for (auto& each : threads) {
        each.join();
    }
    std::cout << "refused " << refusal << std::endl;
    return 0;
}

int be_cut(const std::vector<std::string>& words) {
    local::pretend_no_inotify(true); // The handler alone shall do it.
    const auto locks = connect(
        "local:" + words[1],
        {.ttl = std::chrono::hours(24), .op_timeout = milliseconds(50), .catch_sigbus = words[2] != "0"});
    auto held = locks.mutex("name").acquire();
    if (!held || truncate((words[1] + "/holdfast.segment").c_str(), 100000) != 0) {
        return 1;
    }
    const bool lost = held->is_lost();
    const auto listed = locks.list();
    const auto next = locks.mutex("name").try_acquire();
    std::cout << (lost ? "lost" : "held") << std::endl;
    std::cout << (listed ? "listed" : listed.error().message()) << std::endl;
    std::cout << (next ? "next" : next.error().message()) << std::endl;
    return 0;
}

void say_handled() {
    const std::string said = "handled\n";
    _exit(write(1, said.data(), said.size()) == static_cast<ssize_t>(said.size()) ? 0 : 1);
}

int bus(const std::vector<std::string>& words) {
    struct sigaction how {};
    if (words[2] == "info") {
        how.sa_flags = SA_SIGINFO;
        how.sa_sigaction = [](int number, siginfo_t* info, void* context) {
            if (number == SIGBUS && info->si_pid == getpid() && context != nullptr) {
                say_handled();
            }
        };
    } else if (words[2] == "plain") {
        how.sa_handler = [](int) { say_handled(); };
    } else {
        how.sa_handler = SIG_IGN;
    }
    sigaction(SIGBUS, &how, nullptr);
    const auto locks = connect("local:" + words[1]);
    const auto held = locks.mutex("name").acquire();
    kill(getpid(), SIGBUS);
    std::cout << (held ? "went on" : "not held") << std::endl;
    return 0;
}

int hold_many(const std::vector<std::string>& words) {
    const auto locks = connect("local:" + words[1], {.ttl = std::chrono::seconds(600)});
    std::vector<held> holds;
    for (std::size_t i = 0; i < std::stoul(words[2]); ++i) {
        auto held = locks.mutex("name " + std::to_string(i)).acquire();
        if (!held) {
            std::cout << held.error().message() << std::endl;
            return 1;
        }
        holds.push_back(std::move(*held));
    }
    std::cout << "held" << std::endl;
    std::string line;
    while (std::getline(std::cin, line)) {
        const std::int64_t at = testing::monotonic_ns();
        if (!holds.at(std::stoul(line)).release()) {
            return 1;
        }
        std::cout << at << std::endl;
    }
    return 0;
}

int lines(const std::vector<std::string>& words) {
    const auto locks = connect("local:" + words[1], {.ttl = std::chrono::seconds(600)});
    std::vector<held> holds;
    std::vector<std::thread> waiters;
    for (int i = 0; i < 3; ++i) {
        holds.push_back(locks.mutex("mutex " + std::to_string(i)).acquire().value());
        holds.push_back(locks.semaphore("semaphore " + std::to_string(i), 3).acquire().value());
        holds.push_back(locks.semaphore("semaphore " + std::to_string(i), 3).acquire().value());
        waiters.emplace_back(
            [&locks, i] { static_cast<void>(locks.mutex("mutex " + std::to_string(i)).acquire()); });
        waiters.emplace_back([&locks, i] {
            static_cast<void>(locks.semaphore("semaphore " + std::to_string(i), 3).acquire(3));
        });
    }
    for (bool all = false; !all; std::this_thread::sleep_for(milliseconds(1))) {
        std::size_t claims = 0;
        for (const auto& each : locks.list().value()) {
            claims += each.claims.size();
        }
        all = claims == 15;
    }
    std::cout << "ready" << std::endl;
    for (;;) {
        pause();
    }
}

int probe(const std::vector<std::string>& words) {
    auto locks = try_connect("local:" + words[1], {.ttl = milliseconds(500)});
    std::string refused = locks ? std::string() : locks.error().message();
    for (int i = 0; locks && i < 3; ++i) {
        const auto note = [&refused](const auto& outcome) {
            refused = outcome ? refused : outcome.error().message();
        };
        note(locks->list());
        note(locks->mutex("mutex " + std::to_string(i)).try_acquire_for(milliseconds(5)));
        note(locks->semaphore("semaphore " + std::to_string(i), 3).try_acquire_for(1, milliseconds(5)));
        note(locks->mutex("new " + std::to_string(i)).try_acquire());
    }
    std::cout << (refused.empty() ? "fine" : "refused ") << refused << std::endl;
    return 0;
}

int change_over(const std::vector<std::string>& words) {
    const auto locks = connect("local:" + words[1], {.ttl = std::chrono::seconds(60)});
    auto first = locks.semaphore(words[2], static_cast<std::uint32_t>(std::stoul(words[3]))).acquire();
    if (!first) {
        std::cout << first.error().message() << std::endl;
        return 1;
    }
    std::cout << "held " << first->token().value() << std::endl;
    std::string line;
    std::getline(std::cin, line);
    const auto released = first->release();
    auto second = locks.mutex(words[4]).acquire();
    if (!released || !second) {
        return 1;
    }
    std::cout << "held " << second->token().value() << std::endl;
    std::getline(std::cin, line);
    return 0;
}

int forking_hold(const std::vector<std::string>& words) {
    const auto locks = connect("local:" + words[1], {.ttl = ttl_of(words[4])});
    auto held = locks.mutex(words[2]).acquire();
    if (!held) {
        return 1;
    }
    const pid_t child = fork();
    if (child == 0) {
        for (;;) {
            pause();
        }
    }
    const std::string pid = std::to_string(child);
    if (write(std::stoi(words[3]), pid.data(), pid.size()) != static_cast<ssize_t>(pid.size())) {
        return 1;
    }
    raise(SIGKILL);
    return 1;
}

} // namespace

int main(int argc, char** argv) {
    struct task {
        std::string_view name;
        std::size_t words; ///< With the name.
        int (*run)(const std::vector<std::string>& words);
    };
    constexpr std::array<task, 15> tasks{{{"hammer", 7, hammer},
                                          {"hold", 4, hold},
                                          {"hold-later", 4, hold},
                                          {"hold-shared", 4, hold},
                                          {"hold-exec", 4, hold},
                                          {"hold-dump", 5, hold},
                                          {"hold-untold", 4, hold_untold},
                                          {"endure", 4, endure},
                                          {"bus", 3, bus},
                                          {"be-cut", 3, be_cut},
                                          {"lines", 2, lines},
                                          {"probe", 2, probe},
                                          {"hold-many", 3, hold_many},
                                          {"change_over", 5, change_over},
                                          {"forking_hold", 5, forking_hold}}};
    const std::vector<std::string> words(argv + 1, argv + argc);
    try {
        for (const task& each : tasks) {
            if (words.size() == each.words && words[0] == each.name) {
                return each.run(words);
            }
        }
    } catch (const std::exception& failure) {
        std::cerr << failure.what() << std::endl;
        return 1;
    }
    std::cerr << "see the head of worker.cpp" << std::endl;
    return 64;
}
