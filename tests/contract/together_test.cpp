// Several locks at once, and work under a lock, on every store.
#include "contract/face_test.hpp"

#include <atomic>
#include <thread>

#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class together : public face_test {};

TEST_P(together, all_are_had_at_once_in_the_order_of_the_arguments) {
    const auto ann = connect();
    const auto bob = connect();
    auto last = ann.mutex(fresh("z"));
    auto first = ann.shared_mutex(fresh("a"));
    auto permits = ann.semaphore(fresh("m"), 2);
    {
        auto all = acquire_all(last, first, permits);
        ASSERT_TRUE(all) << all.error().message();
        auto& [z, a, m] = *all;
        EXPECT_EQ(code_of(bob.mutex(fresh("z")).try_acquire()), errc::busy);
        EXPECT_EQ(code_of(bob.shared_mutex(fresh("a")).try_acquire_shared()), errc::busy);
        EXPECT_TRUE(z.release());
        EXPECT_TRUE(bob.mutex(fresh("z")).try_acquire()) << "the holds are not in the order of the arguments";
        EXPECT_EQ(code_of(bob.semaphore(fresh("m"), 2).try_acquire(2)), errc::busy);
        EXPECT_TRUE(bob.semaphore(fresh("m"), 2).try_acquire(1));
        EXPECT_GT(a.valid_for(), 1s);
        EXPECT_GT(m.valid_for(), 1s);
    }
    EXPECT_TRUE(acquire_all(bob.semaphore(fresh("m"), 2), bob.mutex(fresh("a")), std::stop_token()));
}

TEST_P(together, opposite_orders_do_not_wait_for_each_other) {
    const auto ann = connect();
    const auto bob = connect();
    std::atomic<int> inside{0}; // A sanitizer does not see what two connections share.
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            auto a = (i % 2 == 0 ? ann : bob).mutex(fresh("a"));
            auto b = (i % 2 == 0 ? ann : bob).mutex(fresh("b"));
            for (int turn = 0; turn < 5; ++turn) {
                auto both = i < 2 ? acquire_all(a, b) : acquire_all(b, a);
                ASSERT_TRUE(both) << both.error().message();
                EXPECT_EQ(++inside, 1);
                --inside;
            }
        });
    }
    for (auto& each : threads) {
        each.join();
    }
}

TEST_P(together, one_that_cannot_be_had_leaves_none) {
    const auto ann = connect();
    const auto bob = connect();
    auto taken = bob.mutex(fresh("b")).acquire();
    ASSERT_TRUE(taken) << taken.error().message();
    std::stop_source stop;
    std::thread canceller([&] {
        EXPECT_TRUE(wait_for([&] { return in_line(bob, fresh("b")) == 2; }, 10s));
        EXPECT_EQ(in_line(bob, fresh("a")), 1U);
        stop.request_stop();
    });
    const auto all = acquire_all(ann.mutex(fresh("b")), ann.mutex(fresh("a")), stop.get_token());
    canceller.join();
    EXPECT_EQ(code_of(all), errc::cancelled);
    EXPECT_EQ(in_line(bob, fresh("a")), 0U);
    EXPECT_EQ(in_line(bob, fresh("b")), 1U);
    EXPECT_EQ(code_of(acquire_all(ann.mutex(fresh("a")), ann.semaphore(fresh("b"), 3))), errc::misuse);
    EXPECT_EQ(in_line(bob, fresh("a")), 0U);
}

TEST_P(together, one_name_given_twice_is_misuse) {
    const auto ann = connect();
    const auto bob = connect();
    EXPECT_EQ(code_of(acquire_all(ann.mutex(fresh()), ann.mutex(fresh("b")), bob.shared_mutex(fresh()))),
              errc::misuse);
    EXPECT_EQ(in_line(ann, fresh()), 0U);
}

TEST_P(together, work_runs_while_held_and_returns_what_it_returns) {
    const auto ann = connect();
    const auto bob = connect();
    const auto answer = ann.run_while_held(fresh(), [&](std::stop_token stop) {
        EXPECT_FALSE(stop.stop_requested());
        EXPECT_EQ(code_of(bob.mutex(fresh()).try_acquire()), errc::busy);
        return 42;
    });
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(*answer, 42);
    std::uint64_t seen = 0;
    const result<void> nothing =
        ann.run_while_held(fresh(), [&](std::stop_token, const held& mine) { seen = mine.token().value(); });
    EXPECT_TRUE(nothing);
    EXPECT_GT(seen, 0U);
    const result<int> flat = ann.run_while_held(
        fresh(), [](std::stop_token) -> result<int> { return error(errc::config, "of the work"); });
    EXPECT_EQ(code_of(flat), errc::config);
    EXPECT_THROW(static_cast<void>(ann.run_while_held(
                     fresh(), [](std::stop_token) { throw std::runtime_error("of the work"); })),
                 std::runtime_error);
    EXPECT_EQ(in_line(ann, fresh()), 0U);
    EXPECT_EQ(code_of(ann.run_while_held("", [](std::stop_token) {})), errc::misuse);
}

TEST_P(together, work_is_told_when_its_hold_is_gone) {
    const auto ann = connect({.ttl = 6s});
    const auto bob = connect({.ttl = 6s});
    std::stop_source stop;
    const auto stopped = ann.run_while_held(
        fresh(),
        [&](std::stop_token told) {
            EXPECT_FALSE(told.stop_requested());
            stop.request_stop();
            EXPECT_TRUE(told.stop_requested());
        },
        stop.get_token());
    EXPECT_TRUE(stopped) << "a stop request is no loss";
    EXPECT_EQ(code_of(ann.run_while_held(
                  fresh(), [](std::stop_token) {}, stop.get_token())),
              errc::cancelled);
    const auto lost = ann.run_while_held(fresh(), [&](std::stop_token told) {
        const auto broken = bob.break_holds(fresh());
        EXPECT_TRUE(broken) << broken.error().message();
        EXPECT_TRUE(wait_for([&] { return told.stop_requested(); }, 15s));
        return 1;
    });
    EXPECT_EQ(code_of(lost), errc::lost);
}

INSTANTIATE_TEST_SUITE_P(every, together, ::testing::ValuesIn(all_worlds()), world_name);

} // namespace
} // namespace holdfast::testing
