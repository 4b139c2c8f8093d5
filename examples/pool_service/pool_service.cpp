// A service whose worker threads share one PostgreSQL server with every other copy of the service.
//
//   DATABASE_URL=... [HOLDFAST_URL=local:] pool_service NAME SECONDS_TO_NIGHT [--no-gate]
//
// The server has room for `connections` of us, all copies together. A semaphore is the gate: a worker
// connects only while it has a permit. A mutex picks the one copy that runs the nightly job. --no-gate is
// life without.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <holdfast/holdfast.hpp>

#include "database.hpp"
#include "event_log.hpp"

using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t connections = 10;
constexpr int workers = 8;
constexpr int accounts = 1000;

struct service {
    std::string name;
    std::string database_url;
    event_log log;
    std::optional<holdfast::semaphore> gate;
    std::optional<holdfast::mutex> nightly;
};

/// One request: moves a coin between two accounts, on a connection of its own.
void transfer(service& self, const std::string& who, std::stop_token stop) {
    // Waits in line with the workers of all copies, first come, first served. Given back at the end of the
    // scope.
    const holdfast::held permit = self.gate ? self.gate->acquire(1, stop).value() : holdfast::held();

    database db(self.database_url);
    self.log.write(who, "connected", "token=" + std::to_string(permit.token().value()));

    thread_local std::minstd_rand dice{std::random_device{}()};
    const int from = std::uniform_int_distribution(1, accounts - 1)(dice);
    db.run("BEGIN");
    db.run("UPDATE accounts SET balance = balance - 1 WHERE id = $1", std::to_string(from));
    db.run("UPDATE accounts SET balance = balance + 1 WHERE id = $1", std::to_string(from + 1));
    db.run("INSERT INTO transfers (service, worker) VALUES ($1, $2)", self.name, who);
    db.run("SELECT pg_sleep(0.02 + random() * 0.02)"); // the rest of a request

    const bool lost = permit && permit.is_lost(); // held too long, or the store has given our place away
    db.run(lost ? "ROLLBACK" : "COMMIT");
    self.log.write(who, lost ? "lost" : "committed");
}

/// The job that one copy runs. The fencing token travels with its writes: should this copy stall, lose the
/// mutex and come back, they change nothing, because the next holder has raised the fence above it.
void nightly_job(service& self, const std::string& who, std::stop_token stop) {
    holdfast::held turn;
    if (self.nightly) {
        auto granted = self.nightly->try_acquire();
        if (!granted) {
            self.log.write(who, "skipped", granted.error().message());
            return;
        }
        turn = std::move(*granted);
    }
    const holdfast::held permit = self.gate ? self.gate->acquire(1, stop).value() : holdfast::held();
    database db(self.database_url);

    const std::string fence = std::to_string(turn.token().value());
    if (db.run(
            "UPDATE jobs SET fence = $1 WHERE name = 'nightly' AND fence <= $1 AND last_run < current_date",
            fence) == 0) {
        self.log.write(who, "skipped", "done already");
        return;
    }
    self.log.write(who, "started", "token=" + fence);
    db.run("SELECT pg_sleep(1)"); // the job itself: long

    db.run("BEGIN");
    const bool fenced =
        db.run("UPDATE jobs SET last_run = current_date WHERE name = 'nightly' AND fence = $1", fence) == 0;
    db.run("INSERT INTO reports SELECT $1, $2::bigint, sum(balance) FROM accounts", self.name, fence);
    db.run(fenced ? "ROLLBACK" : "COMMIT");
    self.log.write(who, fenced ? "fenced" : "finished");
}

/// Runs `work` until it succeeds or the service stops; a refused connection is tried again after a pause.
template <typename Work>
void persist(service& self, const std::string& who, std::stop_token stop, Work work) {
    while (!stop.stop_requested()) {
        try {
            return work(self, who, stop);
        } catch (const database::refused& why) {
            self.log.write(who, "refused", why.what());
        } catch (const std::exception& why) {
            if (!stop.stop_requested()) {
                self.log.write(who, "failed", why.what());
            }
        }
        std::this_thread::sleep_for(50ms);
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "usage: pool_service NAME SECONDS_TO_NIGHT [--no-gate]\n";
        return 64;
    }
    const auto variable = [](const char* name, const char* otherwise) {
        const char* value = std::getenv(name);
        return std::string(value ? value : otherwise);
    };
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, nullptr); // all threads inherit it, and main alone waits for them

    try {
        service self{argv[1], variable("DATABASE_URL", ""), event_log(argv[1]), {}, {}};
        if (argc < 4 || std::string_view(argv[3]) != "--no-gate") {
            const holdfast::locks locks = holdfast::connect(variable("HOLDFAST_URL", "local:"));
            self.gate = locks.semaphore("db-pool", connections);
            self.nightly = locks.mutex("nightly");
        }

        std::vector<std::jthread> threads;
        for (int number = 1; number <= workers; ++number) {
            threads.emplace_back([&self, who = "worker-" + std::to_string(number)](std::stop_token stop) {
                while (!stop.stop_requested()) {
                    persist(self, who, stop, transfer);
                }
            });
        }
        const timespec until_night{std::atol(argv[2]), 0};
        if (sigtimedwait(&ends, nullptr, &until_night) == -1) { // not told to end before
            threads.emplace_back(
                [&self](std::stop_token stop) { persist(self, "nightly", stop, nightly_job); });
            int signal = 0;
            sigwait(&ends, &signal);
        }
        for (std::jthread& thread : threads) {
            thread.request_stop();
        }
    } catch (const std::exception& why) {
        std::cerr << argv[1] << ": " << why.what() << '\n';
        return 69;
    }
}
