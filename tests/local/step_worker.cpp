// What step_test kills after every instruction: one scenario, between two SIGSTOPs of its own.
//
//   step_worker FOLDER SCENARIO NAME
#include <atomic>
#include <csignal>
#include <iostream>
#include <string>

#include <holdfast/store.hpp>

#include "core/factory.hpp"

namespace {

using namespace holdfast;

class quiet_claim final : public claim_events {
  public:
    quiet_claim(std::uint64_t number, const std::string& name, std::uint32_t weight = lock_capacity,
                std::uint32_t capacity = lock_capacity)
        : claim_events({.name = resource_name::make(name).value(),
                        .id = {.session = {5}, .number = number},
                        .weight = weight,
                        .capacity = capacity}) {}
    void on_waiting() noexcept override {}
    void on_granted(token) noexcept override { given = true; }
    void on_refused(error) noexcept override {}
    void on_renewed(instant) noexcept override {}
    void on_lost(loss_reason) noexcept override {}
    void on_removed(result<void>) noexcept override {}

    std::atomic<bool> given{false};
};

instant soon() {
    return now(clock_source::monotonic) + std::chrono::seconds(30);
}

std::unique_ptr<store> make(const std::string& folder) {
    core::store_config config;
    config.url.scheme = "local";
    config.url.path = folder;
    return core::make_store(config).value();
}

std::shared_ptr<store_session> open(store& in) {
    return in.open({.id = {5}, .ttl = std::chrono::seconds(600), .who = {}}, soon()).value();
}

void mark() {
    raise(SIGSTOP);
}

/// Shared access and permits by a thread's own way in.
int share(store_session& session, const std::string& scenario, const std::string& name) {
    const bool permits = scenario.starts_with("permit");
    const quiet_claim shape(1, name, permits ? 2 : 1, permits ? 3 : lock_capacity);
    const auto fast = session.fast(shape.claim());
    std::uint64_t ticket = 0;
    // Others come to wait behind us, or somebody else holds beside us, or nobody does.
    const bool only_release = scenario.find("_leaves") != std::string::npos;
    if (only_release && fast->try_acquire(ticket).value() == 0) {
        return 1;
    }
    mark();
    const bool refused = scenario == "reader_refused"; // One who wants to hold alone waits before us.
    if (!only_release && (fast->try_acquire(ticket).value() == 0) != refused) {
        return 1;
    }
    if (!refused && !fast->release(ticket)) {
        return 1;
    }
    mark();
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        return 64;
    }
    const std::string scenario = argv[2];
    const auto engine = make(argv[1]);
    if (scenario == "registration") {
        engine->check(soon()).value();
        mark();
        const auto session = open(*engine);
        mark();
        return 0;
    }
    auto session = open(*engine);
    if (scenario.starts_with("reader") || scenario.starts_with("permit")) {
        return share(*session, scenario, argv[3]);
    }
    const auto first = std::make_shared<quiet_claim>(1, argv[3]);
    if (scenario == "free") {
        const auto fast = session->fast(first->claim());
        mark();
        std::uint64_t ticket = 0;
        static_cast<void>(fast->try_acquire(ticket));
        static_cast<void>(fast->release(ticket));
        mark();
    } else if (scenario == "contended" || scenario == "repair" || scenario == "writer_behind_reader") {
        mark(); // Somebody holds, or has died holding.
        session->append(first, false);
        mark();
    } else if (scenario == "granted") {
        mark(); // Somebody holds, and lets go as soon as we stand in line.
        first->will_be_driven = true;
        session->append(first, false);
        while (!first->given) {
            first->place.reset();
            session->drive(*first, soon());
        }
        mark();
    } else if (scenario == "granted_by_path" || scenario == "writer_after_reader") {
        const auto fast = session->fast(first->claim());
        mark(); // The same.
        std::uint64_t ticket = 0;
        static_cast<void>(fast->wait_and_acquire(ticket, nullptr));
        mark();
    } else if (scenario == "hand_over" || scenario == "hand_over_to_one" || scenario == "hand_over_to_two") {
        session->append(first, false);
        mark(); // Others come to wait behind us.
        session->remove(first);
        mark();
    } else if (scenario == "new_name") {
        mark();
        session->append(first, false);
        mark();
    } else if (scenario == "leaving") {
        session->append(first, false);
        mark(); // Another comes to wait behind us.
        session.reset();
        mark();
    } else {
        std::cerr << "no such scenario\n";
        return 64;
    }
    return 0;
}
