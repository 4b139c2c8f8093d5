// A process that uses the local store, for the tests to start, stop and kill.
//
//   hammer FOLDER JOURNAL NAME PERMITS TTL_MS THREADS
//     acquires and releases until its standard input ends; PERMITS 0: a mutex
//   hold FOLDER NAME TTL_MS
//     prints "held TOKEN", and after a line of input "released" or the error's message; TTL_MS 0: until death
//   hold-later FOLDER NAME TTL_MS
//     the same without a thread, see options::threads_later
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
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

#include <holdfast/holdfast.hpp>

#include "local/journal.hpp"

namespace {

using namespace holdfast;
using std::chrono::milliseconds;

result<held> bounded(mutex& face) {
    return face.try_acquire_for(milliseconds(5));
}
result<held> bounded(semaphore& face) {
    return face.try_acquire_for(1, milliseconds(5));
}

/// False when something was refused that need not be. The loss of a session may be: a busy machine can keep a
/// process from renewing one of some seconds in time.
template <typename Face>
bool one_turn(Face& face, testing::journal& notes, int turn, bool may_expire) {
    // A try, a bounded wait and an unbounded one take different ways through the store.
    auto held = turn % 16 == 0 ? face.try_acquire() : turn % 16 == 1 ? bounded(face) : face.acquire();
    if (!held) {
        const errc code = held.error().code();
        const bool expected =
            code == errc::busy || code == errc::timed_out || (may_expire && code == errc::lost);
        if (!expected) {
            std::cerr << held.error().message() << std::endl;
        }
        return expected;
    }
    auto* note = notes.begin(held->token().value());
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

int hammer(const std::vector<std::string>& words) {
    const auto locks = connect("local:" + words[1], {.ttl = milliseconds(std::stoi(words[5]))});
    const bool may_expire = std::stoi(words[5]) < 600'000;
    testing::journal notes(words[2]);
    const auto permits = static_cast<std::uint32_t>(std::stoul(words[4]));
    std::atomic<bool> stop{false};
    std::atomic<bool> good{true};
    std::vector<std::thread> threads;
    for (int i = 0; i < std::stoi(words[6]); ++i) {
        threads.emplace_back([&] {
            auto mutex = locks.mutex(words[3]);
            auto semaphore = locks.semaphore(words[3], std::max(permits, 1U));
            for (int turn = 0; !stop.load() && good.load(); ++turn) {
                if (!(permits == 0 ? one_turn(mutex, notes, turn, may_expire)
                                   : one_turn(semaphore, notes, turn, may_expire))) {
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

int hold(const std::vector<std::string>& words) {
    const bool later = words[0] == "hold-later";
    const auto locks = connect("local:" + words[1], {.ttl = ttl_of(words[3]), .threads_later = later});
    auto mutex = locks.mutex(words[2]);
    auto held = later ? mutex.try_acquire() : mutex.acquire();
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
    const std::vector<std::string> words(argv + 1, argv + argc);
    try {
        if (words.size() == 7 && words[0] == "hammer") {
            return hammer(words);
        }
        if ((words.size() == 4 &&
             (words[0] == "hold" || words[0] == "hold-later" || words[0] == "hold-exec")) ||
            (words.size() == 5 && words[0] == "hold-dump")) {
            return hold(words);
        }
        if (words.size() == 2 && words[0] == "lines") {
            return lines(words);
        }
        if (words.size() == 2 && words[0] == "probe") {
            return probe(words);
        }
        if (words.size() == 3 && words[0] == "hold-many") {
            return hold_many(words);
        }
        if (words.size() == 5 && words[0] == "change_over") {
            return change_over(words);
        }
        if (words.size() == 5 && words[0] == "forking_hold") {
            return forking_hold(words);
        }
    } catch (const std::exception& failure) {
        std::cerr << failure.what() << std::endl;
        return 1;
    }
    std::cerr << "see the head of worker.cpp" << std::endl;
    return 64;
}
