// What goes wrong in the field, on a real server. The numbers are those of the list of failures this project
// keeps.
#include "fixture.hpp"
#include "proxy.hpp"

#include <csignal>
#include <future>
#include <thread>

namespace holdfast::testing {
namespace {

using failures = on_redis;

TEST_F(failures, a_server_that_is_down_is_named) {
    const auto outcome = try_connect("redis://127.0.0.1:1", {.op_timeout = 2s});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code(), errc::unavailable);
    EXPECT_THAT(outcome.error().message(), ::testing::HasSubstr("127.0.0.1:1"));
}

TEST_F(failures, names_of_our_own_keys_are_refused) {
    auto locks = connect();
    EXPECT_EQ(code_of(locks.mutex("holdfast:{a}:a:l").acquire()), errc::misuse);
    EXPECT_EQ(code_of(locks.mutex("holdfast:").try_acquire()), errc::misuse);
    EXPECT_TRUE(locks.mutex("holdfast").acquire());
}

// 25, and invariant 7.
TEST_F(failures, nothing_is_left_behind) {
    {
        auto locks = connect();
        auto one = locks.mutex("a").acquire();
        auto two = locks.semaphore("b", 3).acquire(2);
        auto waiter = std::async(std::launch::async, [&] { return locks.mutex("a").try_acquire_for(100ms); });
        EXPECT_EQ(code_of(waiter.get()), errc::timed_out);
        EXPECT_GT(raw_.keys(), 0);
    }
    EXPECT_EQ(raw_.keys(), 0);
}

// 22: also what a crash leaves ends by itself.
TEST_F(failures, no_key_of_ours_is_ever_without_a_ttl) {
    auto locks = connect({.ttl = 3s});
    auto one = locks.mutex("a").acquire();
    auto two = locks.semaphore("b", 3).acquire(2);
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("a").try_acquire_for(1500ms); });
    ASSERT_TRUE(somebody_waits("a"));
    do {
        for (const auto& key : raw_({"KEYS", "*"}).items) {
            const long long left = raw_.number({"PTTL", key.text});
            EXPECT_NE(left, -1) << key.text;
            EXPECT_LE(left, 5'000) << key.text << " outlives the longest lease and its grace";
        }
    } while (waiter.wait_for(10ms) != std::future_status::ready);
}

// 45
TEST_F(failures, flushed_scripts_are_sent_again) {
    auto locks = connect({.ttl = 1s});
    auto held = locks.mutex("a").acquire();
    ASSERT_TRUE(held);
    raw_({"SCRIPT", "FLUSH"});
    EXPECT_EQ(code_of(locks.mutex("a").try_acquire()), errc::busy);
    raw_({"SCRIPT", "FLUSH"});
    const auto until = std::chrono::steady_clock::now() + 1500ms;
    EXPECT_FALSE(
        wait_for([&] { return held->is_lost() || std::chrono::steady_clock::now() > until; }, 1400ms))
        << "a renewal must survive the flush";
    raw_({"SCRIPT", "FLUSH"});
    EXPECT_TRUE(held->release());
}

// 49
TEST_F(failures, a_killed_command_connection_costs_no_hold) {
    auto locks = connect({.ttl = 1s});
    auto held = locks.mutex("a").acquire();
    ASSERT_TRUE(held);
    raw_({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
    EXPECT_FALSE(wait_for([&] { return held->is_lost(); }, 1500ms)) << "the renewal finds its claim again";
    EXPECT_TRUE(held->release());
    EXPECT_TRUE(locks.mutex("a").acquire());
}

TEST_F(failures, a_connection_that_died_while_idle_is_replaced_unnoticed) {
    auto locks = connect();
    for (int i = 0; i < 3; ++i) {
        auto held = locks.mutex("a").acquire();
        ASSERT_TRUE(held);
        raw_({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
        ASSERT_TRUE(wait_for([&] { return clients("holdfast") == 0; }, 2s));
        std::this_thread::sleep_for(30ms); // Longer than a rest: the loop looks before it writes.
        EXPECT_TRUE(held->release());
    }
}

// 27, 28: the message is lost with the connection that should have brought it.
TEST_F(failures, a_waiter_whose_subscription_is_killed_is_still_served) {
    auto locks = connect();
    auto other = connect();
    auto held = other.mutex("a").acquire();
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("a").acquire(); });
    ASSERT_TRUE(somebody_waits("a"));
    raw_({"CLIENT", "KILL", "TYPE", "pubsub"});
    EXPECT_TRUE(held->release());
    ASSERT_EQ(waiter.wait_for(2s), std::future_status::ready);
    EXPECT_TRUE(waiter.get());
}

TEST_F(failures, a_waiter_whose_subscription_fell_before_its_append_was_answered_is_still_served) {
    redis_server own;
    raw_client raw(own.port());
    auto locks = holdfast::connect(own.url());
    auto other = holdfast::connect(own.url());
    auto held = other.mutex("a").acquire();
    // It leaves the subscription behind, so that the next append may wait at once.
    EXPECT_EQ(code_of(locks.mutex("a").try_acquire_for(50ms)), errc::timed_out);
    // The server finds the order to kill first, the append second.
    own.signal(SIGSTOP);
    auto killed = std::async(std::launch::async, [&] {
        return raw.number({"CLIENT", "KILL", "TYPE", "pubsub"});
    });
    std::this_thread::sleep_for(50ms);
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("a").acquire(); });
    std::this_thread::sleep_for(50ms);
    own.signal(SIGCONT);
    EXPECT_EQ(killed.get(), 1);
    ASSERT_TRUE(wait_for([&] { return raw.number({"LLEN", "holdfast:{a}:a:l"}) == 1; }, 5s));
    EXPECT_TRUE(held->release());
    ASSERT_EQ(waiter.wait_for(2s), std::future_status::ready);
    EXPECT_TRUE(waiter.get());
}

// The message is lost, and the answer that the renewed subscription finds on its way is older than the loss.
TEST_F(failures, a_waiter_whose_append_is_answered_late_is_still_served) {
    proxy slow(server().port());
    auto locks = holdfast::connect("redis://127.0.0.1:" + std::to_string(slow.port()));
    auto other = connect();
    auto one = other.mutex("a").acquire();
    auto two = other.mutex("b").acquire();
    // This one keeps the subscription wanted.
    auto second = std::async(std::launch::async, [&] { return locks.mutex("b").acquire(); });
    ASSERT_TRUE(somebody_waits("b"));
    slow.hold_first(true);
    auto first = std::async(std::launch::async, [&] { return locks.mutex("a").acquire(); });
    ASSERT_TRUE(somebody_waits("a"));
    raw_({"CLIENT", "KILL", "TYPE", "pubsub"});
    EXPECT_TRUE(one->release());
    ASSERT_TRUE(wait_for([&] { return raw_({"PUBSUB", "CHANNELS"}).items.size() == 1; }, 2s));
    std::this_thread::sleep_for(50ms);
    slow.hold_first(false);
    EXPECT_EQ(first.wait_for(2s), std::future_status::ready);
    EXPECT_TRUE(two->release());
    EXPECT_TRUE(first.get());
    EXPECT_TRUE(second.get());
}

// The server does not know the script of the append, and by the time it says so the removal has run.
TEST_F(failures, an_append_that_was_taken_back_is_not_sent_again) {
    proxy slow(server().port());
    auto locks = holdfast::connect("redis://127.0.0.1:" + std::to_string(slow.port()));
    auto other = connect();
    auto held = other.mutex("b").acquire();
    EXPECT_TRUE(locks.mutex("c").acquire()->release()); // Its session is open.
    slow.hold_first(true);
    raw_({"SCRIPT", "FLUSH"});
    EXPECT_TRUE(held->release()); // It teaches the server the script of the removal.
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("a").try_acquire_for(100ms); });
    std::this_thread::sleep_for(250ms);
    slow.hold_first(false);
    EXPECT_FALSE(waiter.get());
    std::this_thread::sleep_for(100ms);
    EXPECT_EQ(raw_.number({"EXISTS", "a"}), 0);
}

TEST_F(failures, a_waiter_survives_the_loss_of_all_its_connections) {
    auto locks = connect({.ttl = 2s});
    auto other = connect();
    auto held = other.mutex("a").acquire();
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("a").acquire(); });
    ASSERT_TRUE(somebody_waits("a"));
    for (int i = 0; i < 5; ++i) {
        raw_({"CLIENT", "KILL", "TYPE", "pubsub"});
        raw_({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
    }
    EXPECT_EQ(waiter.wait_for(300ms), std::future_status::timeout);
    EXPECT_TRUE(held->release());
    ASSERT_EQ(waiter.wait_for(3s), std::future_status::ready);
    EXPECT_TRUE(waiter.get());
}

// 29: a program that died while it waited.
TEST_F(failures, a_dead_waiter_in_the_middle_is_passed_over) {
    auto locks = connect();
    auto held = locks.mutex("a").acquire();
    const std::string dead = std::string(32, 'd') + ".1";
    const std::string line = "holdfast:{a}:a:l";
    raw_({"RPUSH", line, dead + " 1073741824 1073741824"});
    raw_({"HSET", "holdfast:{a}:a:d", dead,
          std::to_string(std::stoll(raw_({"TIME"}).items[0].text) * 1000 + 1500)});
    raw_({"PEXPIRE", line, "60000"});
    raw_({"PEXPIRE", "holdfast:{a}:a:d", "60000"});
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("a").acquire(); });
    ASSERT_TRUE(somebody_waits("a", 2));
    EXPECT_TRUE(held->release());
    ASSERT_EQ(waiter.wait_for(3500ms), std::future_status::ready)
        << "the dead one costs its lease, and no more";
    EXPECT_TRUE(waiter.get());
}

// 41, and a restart without persistence: what the server forgot is lost, and said so.
TEST_F(failures, a_server_that_forgot_everything_costs_the_hold_and_is_used_again) {
    redis_server own;
    auto locks = holdfast::connect(own.url(), {.ttl = 2s, .op_timeout = 5s});
    auto held = locks.mutex("a").acquire();
    ASSERT_TRUE(held);
    const auto before = held->token();
    own.restart();
    ASSERT_TRUE(wait_for([&] { return held->lost().stop_requested(); }, 5s));
    EXPECT_TRUE(held->is_lost());
    EXPECT_NE(held->reason(), loss_reason::none);
    auto again = locks.mutex("a").acquire();
    ASSERT_TRUE(again);
    EXPECT_GT(again->token(), before) << "tokens are made of time, so they rise also over a lost memory";
    EXPECT_FALSE(held->release());
    EXPECT_FALSE(again->is_lost()) << "a late release must not touch the successor";
}

TEST_F(failures, a_waiter_outlives_a_restart_of_the_server) {
    redis_server own;
    auto locks = holdfast::connect(own.url(), {.ttl = 2s, .op_timeout = 10s});
    auto other = holdfast::connect(own.url());
    auto held = other.mutex("a").acquire();
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("a").acquire(); });
    ASSERT_TRUE(wait_for(
        [&] {
            return raw_client(own.port()).number({"LLEN", "holdfast:{a}:a:l"}) == 1;
        },
        5s));
    own.restart();
    ASSERT_EQ(waiter.wait_for(8s), std::future_status::ready);
    EXPECT_TRUE(waiter.get());
}

// 1: stopped longer than the lease.
TEST_F(failures, a_server_that_stands_still_for_longer_than_the_lease_costs_the_hold_in_time) {
    redis_server own;
    auto locks = holdfast::connect(own.url(), {.ttl = 1s, .op_timeout = 10s});
    auto held = locks.mutex("a").acquire();
    ASSERT_TRUE(held);
    own.signal(SIGSTOP);
    EXPECT_TRUE(wait_for([&] { return held->lost().stop_requested(); }, 3s));
    own.signal(SIGCONT);
    EXPECT_EQ(held->reason(), loss_reason::expired);
    EXPECT_TRUE(locks.mutex("a").acquire());
}

// 44: the server refuses to write, and says why.
TEST_F(failures, a_server_that_refuses_writes_is_quoted) {
    redis_server own;
    raw_client raw(own.port());
    auto locks = holdfast::connect(own.url(), {.op_timeout = 500ms});
    raw({"SET", "filler", std::string(1'000'000, 'x')});
    raw({"CONFIG", "SET", "maxmemory", "1"});
    const auto outcome = locks.mutex("a").try_acquire();
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code(), errc::unavailable);
    EXPECT_THAT(outcome.error().message(), ::testing::HasSubstr("OOM"));
    raw({"CONFIG", "SET", "maxmemory", "0"});
    EXPECT_TRUE(locks.mutex("a").try_acquire());
}

TEST_F(failures, a_server_without_room_for_another_client_is_quoted) {
    redis_server own;
    raw_client raw(own.port());
    raw({"CONFIG", "SET", "maxclients", "1"});
    const auto outcome = try_connect(own.url(), {.op_timeout = 500ms});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code(), errc::unavailable);
    EXPECT_THAT(outcome.error().message(), ::testing::HasSubstr("max number of clients"));
    raw({"CONFIG", "SET", "maxclients", "100"});
    EXPECT_TRUE(try_connect(own.url()));
}

// 39, 47: two threads of one program are two claims.
TEST_F(failures, threads_take_turns_and_every_turn_has_its_own_token) {
    auto locks = connect();
    auto other = connect();
    int shared = 0; // Guarded by the lock alone; the sanitizer for threads would see a second holder.
    std::uint64_t highest = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&, mine = (i % 2 == 0 ? locks : other)] {
            auto mutex = mine.mutex("a");
            for (int k = 0; k < 40; ++k) {
                auto held = mutex.acquire();
                ASSERT_TRUE(held) << held.error().message();
                ++shared;
                EXPECT_GT(held->token().value(), highest);
                highest = held->token().value();
                ASSERT_TRUE(held->release());
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(shared, 320);
}

} // namespace
} // namespace holdfast::testing
