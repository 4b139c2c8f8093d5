// Who waits for the network: the caller himself, the one who leads for others, and the store's own thread.
#include "etcd/one_server.hpp"

#include <atomic>
#include <thread>

#include "etcd/messages.hpp"
#include "etcd/rpc.hpp"

namespace holdfast::etcd::testing {
namespace {

class etcd_call_loop : public one_server {
  protected:
    std::unique_ptr<transport> connection() {
        settings how;
        how.endpoints = {server().endpoint()};
        how.op_timeout = 5s;
        return transport::make(how);
    }
    static std::string question() {
        range_request one;
        one.key = "nothing";
        return encode(one);
    }
};

TEST_F(etcd_call_loop, a_caller_that_waits_reads_its_reply_on_its_own_thread) {
    const auto calls = connection();
    ASSERT_TRUE(calls->call_and_wait(method::range, question(), in(5s), repeat::freely).ok());
    int on_own_thread = 0;
    for (int turn = 0; turn < 20; ++turn) {
        parking_place place;
        std::thread::id read_by;
        calls->call(method::range, question(), in(5s), repeat::freely, [&](const outcome& reply) {
            EXPECT_TRUE(reply.ok());
            read_by = std::this_thread::get_id();
            place.notify();
        });
        while (!place.notified()) {
            calls->drive(place, in(5s));
        }
        on_own_thread += read_by == std::this_thread::get_id() ? 1 : 0;
    }
    EXPECT_GE(on_own_thread, 15) << "now and then the store's thread may be faster, on a busy machine";
}

TEST_F(etcd_call_loop, a_reply_that_nobody_waits_for_is_read_all_the_same) {
    const auto calls = connection();
    std::atomic<int> answered{0};
    for (int turn = 1; turn <= 3; ++turn) {
        calls->call(method::range, question(), in(5s), repeat::freely, [&](const outcome&) { ++answered; });
        ASSERT_TRUE(wait_for([&] { return answered.load() == turn; }, 5s));
        ASSERT_TRUE(calls->call_and_wait(method::range, question(), in(5s), repeat::freely).ok());
    }
}

TEST_F(etcd_call_loop, a_callback_may_itself_call_and_wait) {
    const auto calls = connection();
    std::atomic<bool> inner{false};
    parking_place place;
    calls->call(method::range, question(), in(5s), repeat::freely, [&](const outcome&) {
        inner = calls->call_and_wait(method::range, question(), in(5s), repeat::freely).ok();
        place.notify();
        calls->wake(place);
    });
    while (!place.notified()) {
        calls->drive(place, in(5s));
    }
    EXPECT_TRUE(inner.load());
}

TEST_F(etcd_call_loop, threads_lead_and_follow_and_none_is_forgotten) {
    const auto calls = connection();
    std::atomic<int> answered{0};
    {
        std::vector<std::jthread> threads;
        for (int number = 0; number < 8; ++number) {
            threads.emplace_back([&] {
                for (int turn = 0; turn < 50; ++turn) {
                    const outcome reply =
                        calls->call_and_wait(method::range, question(), in(5s), repeat::freely);
                    EXPECT_TRUE(reply.ok()) << reply.message;
                    answered += reply.ok() ? 1 : 0;
                }
            });
        }
    }
    EXPECT_EQ(answered.load(), 400);
}

TEST_F(etcd_call_loop, who_leads_is_woken_from_outside) {
    const auto calls = connection();
    ASSERT_TRUE(calls->call_and_wait(method::range, question(), in(5s), repeat::freely).ok());
    parking_place place;
    std::jthread other([&] {
        place.notify();
        calls->wake(place);
    });
    const instant limit = in(20s);
    while (!place.notified()) {
        calls->drive(place, limit);
    }
    EXPECT_LT(now(clock_source::boottime), limit - 10s);
}

} // namespace
} // namespace holdfast::etcd::testing
