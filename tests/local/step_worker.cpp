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
    quiet_claim(std::uint64_t number, const std::string& name)
        : claim_events({.name = resource_name::make(name).value(),
                        .id = {.session = {5}, .number = number},
                        .weight = lock_capacity,
                        .capacity = lock_capacity}) {}
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
    const auto first = std::make_shared<quiet_claim>(1, argv[3]);
    if (scenario == "free") {
        const auto fast = session->fast(first->claim());
        mark();
        std::uint64_t ticket = 0;
        static_cast<void>(fast->try_acquire(ticket));
        static_cast<void>(fast->release(ticket));
        mark();
    } else if (scenario == "contended" || scenario == "repair") {
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
    } else if (scenario == "granted_by_path") {
        const auto fast = session->fast(first->claim());
        mark(); // The same.
        std::uint64_t ticket = 0;
        static_cast<void>(fast->wait_and_acquire(ticket));
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
