// What a program outside of this project does first: it takes a lock of the local store. With an argument,
// the URL of a store that nobody serves, it only proves that the store is linked in.
#include <holdfast/admin.hpp>
#include <holdfast/async.hpp>
#include <holdfast/election.hpp>
#include <holdfast/guard.hpp>
#include <holdfast/holdfast.hpp>
#include <holdfast/together.hpp>
#ifdef CONSUMER_HAS_ASIO
#include <holdfast/asio.hpp>
#endif

#include <chrono>
#include <future>
#include <iostream>
#include <mutex>

int main(int argc, char** argv) {
    using namespace std::chrono_literals;
    if (argc != 2) {
        return 64;
    }
    try {
        auto locks = holdfast::connect(argv[1], {.ttl = 5s, .op_timeout = 1s});
        auto lock = locks.mutex("consumer");
        const std::scoped_lock guard{lock};
        std::cout << "held\n";
        auto [first, second] =
            holdfast::acquire_all(locks.mutex("first"), locks.semaphore("second", 2)).value();
        if (!holdfast::fence_of(first) || holdfast::fence_of(second)) {
            return 1;
        }
        auto leads = locks.election("leader").campaign("consumer").value();
        const auto seen = locks.show("leader").value();
        std::promise<bool> done;
        auto ended = done.get_future();
        locks.mutex("later").async_acquire({}, [&](holdfast::result<holdfast::held> outcome) {
            done.set_value(outcome && outcome->release());
        });
        const bool right =
            holdfast::state_of(seen.claims.front()) == holdfast::claim_state::live && ended.get();
        return leads.resign() && right ? 0 : 1;
    } catch (const std::exception& failure) {
        std::cout << failure.what() << '\n';
        return 1;
    }
}
