// A release whose connection breaks: as removing a claim twice does no harm, it is sent again for as long as
// a caller may wait, and its outcome is known.
#include "fixture.hpp"
#include "support/tcp_proxy.hpp"

#include <csignal>
#include <future>

namespace holdfast::testing {
namespace {

std::string url_through(const tcp_proxy& way) {
    return "redis://127.0.0.1:" + std::to_string(way.port());
}

using releases = on_redis;

/// Once before, so that the server knows the scripts: a reply that is lost is then that of the release.
result<held> acquired_again(locks& by) {
    EXPECT_TRUE(by.mutex("a").acquire().value().release());
    return by.mutex("a").acquire();
}

std::future<result<void>> release_in_background(held& of) {
    return std::async(std::launch::async, [&of] { return of.release(); });
}

TEST_F(releases, whose_reply_is_lost_are_known_from_the_next_connection) {
    tcp_proxy way(server().port());
    auto locks = holdfast::connect(url_through(way), {.release_timeout = 20s});
    auto held = acquired_again(locks);
    ASSERT_TRUE(held);
    way.set({.reply = network_fault::at_reply::lose});
    auto outcome = release_in_background(*held);
    ASSERT_TRUE(wait_for([&] { return way.cuts() > 0; }, 10s));
    EXPECT_TRUE(wait_for([&] { return raw_.number({"EXISTS", "a"}) == 0; }, 10s)) << "the server did it";
    way.heal();
    const auto released = outcome.get();
    EXPECT_TRUE(released) << released.error().message();
    EXPECT_TRUE(locks.mutex("a").acquire());
}

TEST_F(releases, that_never_reached_the_server_reach_it_on_the_next_connection) {
    tcp_proxy way(server().port());
    auto locks = holdfast::connect(url_through(way), {.release_timeout = 20s});
    auto held = locks.mutex("a").acquire();
    ASSERT_TRUE(held);
    way.set({.to_server_held = true});
    auto outcome = release_in_background(*held);
    EXPECT_EQ(outcome.wait_for(50ms), std::future_status::timeout);
    EXPECT_EQ(raw_.number({"EXISTS", "a"}), 1);
    way.set({.refused = true}); // What was held back is gone with its connection.
    ASSERT_TRUE(wait_for([&] { return way.cuts() > 1; }, 10s)) << "it tries again";
    EXPECT_EQ(raw_.number({"EXISTS", "a"}), 1);
    way.heal();
    const auto released = outcome.get();
    EXPECT_TRUE(released) << released.error().message();
    EXPECT_EQ(raw_.number({"EXISTS", "a"}), 0);
}

TEST_F(releases, hand_over_once_though_they_are_sent_twice) {
    tcp_proxy way(server().port());
    auto locks = holdfast::connect(url_through(way), {.release_timeout = 20s});
    auto others = connect();
    auto held = acquired_again(locks);
    ASSERT_TRUE(held);
    auto next = std::async(std::launch::async, [&] { return others.mutex("a").acquire(); });
    ASSERT_TRUE(somebody_waits("a"));
    way.set({.reply = network_fault::at_reply::lose});
    auto outcome = release_in_background(*held);
    const auto successor = next.get();
    ASSERT_TRUE(successor);
    way.heal();
    const auto released = outcome.get();
    EXPECT_TRUE(released) << released.error().message();
    EXPECT_FALSE(successor->is_lost());
    EXPECT_TRUE(raw_.text({"GET", "a"}).starts_with("holdfast ")) << "the successor's hold was ended";
}

TEST_F(releases, wait_for_a_server_that_is_started_again_and_remembers) {
    redis_server own({"--appendonly", "yes", "--appendfsync", "always"});
    auto locks = holdfast::connect(own.url(), {.ttl = 30s, .release_timeout = 20s});
    auto held = locks.mutex("a").acquire();
    ASSERT_TRUE(held);
    own.kill();
    auto outcome = release_in_background(*held);
    EXPECT_EQ(outcome.wait_for(50ms), std::future_status::timeout);
    own.start();
    const auto released = outcome.get();
    EXPECT_TRUE(released) << released.error().message();
    EXPECT_EQ(raw_client(own.port()).number({"EXISTS", "a"}), 0);
}

TEST_F(releases, may_take_longer_than_one_operation) {
    redis_server own;
    auto locks = holdfast::connect(own.url(), {.ttl = 30s, .op_timeout = 300ms, .release_timeout = 20s});
    auto held = locks.mutex("a").acquire();
    ASSERT_TRUE(held);
    own.signal(SIGSTOP);
    auto outcome = release_in_background(*held);
    EXPECT_EQ(outcome.wait_for(700ms), std::future_status::timeout);
    own.signal(SIGCONT);
    const auto released = outcome.get();
    EXPECT_TRUE(released) << released.error().message();
    EXPECT_EQ(raw_client(own.port()).number({"EXISTS", "a"}), 0);
}

TEST_F(releases, that_nobody_hears_are_unknown_once_their_time_is_over) {
    tcp_proxy way(server().port());
    auto locks = holdfast::connect(url_through(way), {.ttl = 30s, .release_timeout = 300ms});
    auto held = locks.mutex("a").acquire();
    ASSERT_TRUE(held);
    way.set({.refused = true});
    const auto began = std::chrono::steady_clock::now();
    const auto released = held->release();
    EXPECT_GE(std::chrono::steady_clock::now() - began, 290ms) << "there was time left";
    ASSERT_FALSE(released);
    EXPECT_EQ(released.error().code(), errc::unknown_outcome);
    EXPECT_TRUE(released.error().ends_in());
    way.heal();
    EXPECT_TRUE(wait_for(
        [&] {
            return raw_.number({"EXISTS", "a"}) == 0;
        },
        10s))
        << "it is tried again in the background";
}

// It has nothing to give back: whoever has stopped waiting need not wait for a server that is away.
TEST_F(releases, of_those_who_only_waited_do_not_wait_for_the_server) {
    tcp_proxy way(server().port());
    auto locks = holdfast::connect(url_through(way), {.ttl = 60s, .release_timeout = 60s});
    auto others = connect();
    auto held = others.mutex("a").acquire();
    ASSERT_TRUE(held);
    std::stop_source enough;
    auto waiter =
        std::async(std::launch::async, [&] { return locks.mutex("a").acquire(enough.get_token()); });
    ASSERT_TRUE(somebody_waits("a"));
    way.set({.refused = true});
    enough.request_stop();
    EXPECT_EQ(waiter.wait_for(20s), std::future_status::ready);
    way.heal();
    EXPECT_FALSE(waiter.get());
}

} // namespace
} // namespace holdfast::testing
