// Bounded hand-over among threads, on every store: exclusion and rising tokens stay, others wait a bound,
// loss is known to whoever has borrowed the hold.
#include <atomic>
#include <thread>
#include <vector>

#include "contract/face_test.hpp"
#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class hand_over : public face_test {};

constexpr mutex_options in_turns{.local_hand_over = 50ms};

/// Threads that take turns until told to stop, and what they saw.
class hammer {
  public:
    hammer(const mutex& face, int threads) {
        for (int index = 0; index < threads; ++index) {
            threads_.emplace_back([this, face](const std::stop_token& stop) { work(face, stop); });
        }
    }
    int turns() const { return turns_.load(); }
    int overlaps() const { return overlaps_.load(); }
    int fallen() const { return fallen_.load(); }
    int failed() const { return failed_.load(); }
    std::uint64_t last() const { return last_.load(); }
    void stop() { threads_.clear(); }

  private:
    void work(mutex face, const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            const auto mine = face.acquire(stop);
            if (!mine) {
                failed_.fetch_add(mine.error().code() == errc::cancelled ? 0 : 1);
                continue;
            }
            overlaps_.fetch_add(inside_.fetch_add(1) != 0 ? 1 : 0);
            const auto token = mine->token().value();
            fallen_.fetch_add(last_.exchange(token) >= token ? 1 : 0);
            turns_.fetch_add(1);
            inside_.fetch_sub(1);
        }
    }

    std::atomic<int> inside_{0};
    std::atomic<int> turns_{0};
    std::atomic<int> overlaps_{0};
    std::atomic<int> fallen_{0};
    std::atomic<int> failed_{0};
    std::atomic<std::uint64_t> last_{0};
    std::vector<std::jthread> threads_;
};

TEST_P(hand_over, threads_exclude_one_another_and_their_tokens_rise) {
    const auto by = connect();
    hammer threads(by.mutex(fresh(), in_turns), 6);
    EXPECT_TRUE(wait_for([&] { return threads.turns() >= 5'000; }, 60s)) << threads.turns();
    threads.stop();
    EXPECT_EQ(threads.overlaps(), 0);
    EXPECT_EQ(threads.fallen(), 0);
    EXPECT_EQ(threads.failed(), 0);
    EXPECT_EQ(in_line(by, fresh()), 0U) << "nobody lingers";
}

TEST_P(hand_over, another_process_has_its_turn_within_the_bound) {
    hammer threads(connect().mutex(fresh(), in_turns), 4);
    auto other = connect().mutex(fresh(), in_turns);
    ASSERT_TRUE(wait_for([&] { return threads.turns() >= 100; }, 60s));
    for (int round = 0; round < 5; ++round) {
        const auto before = std::chrono::steady_clock::now();
        auto mine = other.acquire();
        ASSERT_TRUE(mine) << mine.error().message();
        // The bound, and what a loaded machine adds; without one the threads would never let go.
        EXPECT_LT(std::chrono::steady_clock::now() - before, 50ms + 10s);
        const auto token = mine->token().value();
        EXPECT_GT(token, threads.last());
        const int so_far = threads.turns();
        EXPECT_TRUE(mine->release());
        ASSERT_TRUE(wait_for([&] { return threads.turns() > so_far + 10; }, 60s));
        EXPECT_GT(threads.last(), token);
    }
    threads.stop();
    EXPECT_EQ(threads.overlaps(), 0);
    EXPECT_EQ(threads.fallen(), 0);
}

TEST_P(hand_over, tries_limits_and_stop_requests_are_heeded) {
    auto face = connect().mutex(fresh(), in_turns);
    auto mine = face.acquire().value();
    EXPECT_EQ(code_of(face.try_acquire()), errc::busy);
    EXPECT_EQ(code_of(face.try_acquire_for(20ms)), errc::timed_out);
    std::stop_source stop;
    stop.request_stop();
    EXPECT_EQ(code_of(face.acquire(stop.get_token())), errc::cancelled);
    EXPECT_EQ(code_of(connect().mutex(fresh()).try_acquire()), errc::busy) << "to others it is held as any";
    EXPECT_TRUE(mine.release());
    EXPECT_TRUE(face.try_acquire());
}

TEST_P(hand_over, a_waiter_that_gives_up_leaves_no_hold_behind) {
    const auto by = connect();
    auto face = by.mutex(fresh(), in_turns);
    for (int round = 0; round < 60; ++round) {
        auto mine = face.acquire().value();
        std::atomic<bool> waits{false};
        const std::jthread waiter([&face, &waits] {
            auto same = face;
            waits.store(true);
            static_cast<void>(same.try_acquire_for(std::chrono::microseconds(500)));
        });
        ASSERT_TRUE(wait_for([&] { return waits.load(); }, 20s));
        // Given back at about the moment at which the waiter gives up: a little earlier or later each round.
        const auto at = std::chrono::steady_clock::now() + std::chrono::microseconds(350 + 5 * round);
        while (std::chrono::steady_clock::now() < at) {
        }
        EXPECT_TRUE(mine.release());
    }
    EXPECT_TRUE(wait_for([&] { return in_line(by, fresh()) == 0; }, 20s)) << "a hold that nobody has";
}

TEST_P(hand_over, the_thread_that_has_borrowed_a_lost_hold_is_told) {
    const auto by = connect();
    auto face = by.mutex(fresh(), in_turns);
    auto mine = face.acquire().value();
    const auto lost = mine.lost();
    EXPECT_FALSE(lost.stop_requested());
    ASSERT_EQ(by.break_holds(fresh()).value(), 1U);
    EXPECT_TRUE(wait_for([&] { return lost.stop_requested(); }, 20s));
    EXPECT_TRUE(mine.is_lost());
    EXPECT_NE(mine.reason(), loss_reason::none);
    EXPECT_EQ(code_of(mine.release()), errc::lost);
    EXPECT_TRUE(face.acquire()) << "the next one asks the store";
}

TEST_P(hand_over, a_sink_hears_of_a_loss_that_nobody_asks_about) {
    std::atomic<int> lost_events{0};
    std::atomic<std::uint64_t> of_token{0};
    {
        const auto by = connect({.sink = [&](const event& what) {
            if (what.what == event::kind::lost) {
                of_token = what.token.value();
                ++lost_events;
            }
        }});
        auto mine = by.mutex(fresh(), in_turns).acquire().value();
        ASSERT_EQ(connect().break_holds(fresh()).value(), 1U);
        EXPECT_TRUE(wait_for([&] { return lost_events == 1; }, 20s));
        EXPECT_EQ(of_token, mine.token().value());
        EXPECT_EQ(code_of(mine.release()), errc::lost);
    }
    EXPECT_EQ(lost_events, 1);
}

INSTANTIATE_TEST_SUITE_P(every, hand_over, ::testing::ValuesIn(all_worlds()), world_name);

} // namespace
} // namespace holdfast::testing
