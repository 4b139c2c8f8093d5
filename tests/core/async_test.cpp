// Acquiring without a thread that waits, on the reference store: order of completions, cancellation, loss of
// the session while waiting, lifetimes.
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <holdfast/holdfast.hpp>

#include "contract/reference_store.hpp"
#include "core/client.hpp"
#include "support/detached.hpp"
#include "support/wait_for.hpp"

using namespace std::chrono_literals;
using namespace holdfast;
using holdfast::testing::detached;
using holdfast::testing::reference_engine;
using holdfast::testing::wait_for;

namespace {

struct asynchronous : ::testing::Test {
    reference_engine engine;

    locks connect() {
        return locks(core::client::adopt(engine.connect(),
                                         "memory:", {.ttl = 1s, .op_timeout = 2s, .release_timeout = 1s})
                         .value());
    }
};

/// What completions brought, from whatever thread.
class outcomes {
  public:
    auto taker() {
        return [this](result<held> outcome) {
            const std::scoped_lock locked(mutex_);
            threads_.insert(std::this_thread::get_id());
            all_.push_back(std::make_unique<result<held>>(std::move(outcome)));
        };
    }
    std::size_t size() const {
        const std::scoped_lock locked(mutex_);
        return all_.size();
    }
    bool arrived(std::size_t count) const {
        return wait_for([&] { return size() >= count; }, 15s);
    }
    result<held>& operator[](std::size_t at) {
        const std::scoped_lock locked(mutex_);
        return *all_.at(at);
    }
    std::set<std::thread::id> threads() const {
        const std::scoped_lock locked(mutex_);
        return threads_;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<result<held>>> all_;
    std::set<std::thread::id> threads_;
};

} // namespace

TEST_F(asynchronous, a_free_name_is_held_on_the_librarys_thread_never_inside_the_call) {
    auto pool = connect().mutex("n");
    outcomes got;
    pool.async_acquire({}, got.taker());
    ASSERT_TRUE(got.arrived(1));
    ASSERT_TRUE(got[0]) << got[0].error().message();
    EXPECT_GT(got[0]->token().value(), 0U);
    EXPECT_FALSE(got.threads().contains(std::this_thread::get_id()));
    EXPECT_EQ(pool.try_acquire().error().code(), errc::busy);
}

TEST_F(asynchronous, waiters_are_served_in_order_by_one_thread) {
    auto pool = connect().mutex("n");
    auto first = std::make_unique<held>(pool.acquire().value());
    outcomes got;
    constexpr std::size_t waiters = 50;
    for (std::size_t index = 0; index < waiters; ++index) {
        pool.async_acquire({}, got.taker());
    }
    ASSERT_TRUE(wait_for([&] { return engine.claims_in("n") == waiters + 1; }, 15s));
    EXPECT_EQ(got.size(), 0U);
    std::uint64_t last = first->token().value();
    first.reset();
    for (std::size_t index = 0; index < waiters; ++index) {
        ASSERT_TRUE(got.arrived(index + 1));
        ASSERT_TRUE(got[index]) << got[index].error().message();
        const auto token = got[index]->token().value();
        EXPECT_GT(token, last);
        last = token;
        EXPECT_TRUE(got[index]->release());
    }
    EXPECT_EQ(got.threads().size(), 1U);
    EXPECT_EQ(engine.claims_in("n"), 0U);
}

TEST_F(asynchronous, a_stop_request_ends_one_operation_and_leaves_nothing_in_line) {
    auto pool = connect().mutex("n");
    auto first = pool.acquire().value();
    std::stop_source one;
    outcomes stopped;
    outcomes other;
    pool.async_acquire({.stop = one.get_token()}, stopped.taker());
    pool.async_acquire({}, other.taker());
    ASSERT_TRUE(wait_for([&] { return engine.claims_in("n") == 3; }, 15s));
    one.request_stop();
    ASSERT_TRUE(stopped.arrived(1));
    EXPECT_EQ(stopped[0].error().code(), errc::cancelled);
    EXPECT_EQ(engine.claims_in("n"), 2U);
    EXPECT_TRUE(first.release());
    ASSERT_TRUE(other.arrived(1));
    EXPECT_TRUE(other[0]);
}

TEST_F(asynchronous, limits_end_in_timed_out_or_busy) {
    auto pool = connect().mutex("n");
    const auto first = pool.acquire().value();
    outcomes got;
    pool.async_acquire({.limit = 50ms}, got.taker());
    ASSERT_TRUE(got.arrived(1));
    EXPECT_EQ(got[0].error().code(), errc::timed_out);
    pool.async_acquire({.limit = 0ms}, got.taker());
    ASSERT_TRUE(got.arrived(2));
    EXPECT_EQ(got[1].error().code(), errc::timed_out);
    pool.async_acquire({.only_if_free = true}, got.taker());
    ASSERT_TRUE(got.arrived(3));
    EXPECT_EQ(got[2].error().code(), errc::busy);
    EXPECT_EQ(engine.claims_in("n"), 1U);
}

TEST_F(asynchronous, an_operation_outlives_the_face_and_the_locks_object) {
    auto blocker = connect().mutex("n");
    auto first = std::make_unique<held>(blocker.acquire().value());
    outcomes got;
    connect().mutex("n").async_acquire({}, got.taker());
    ASSERT_TRUE(wait_for([&] { return engine.claims_in("n") == 2; }, 15s));
    first.reset();
    ASSERT_TRUE(got.arrived(1));
    ASSERT_TRUE(got[0]) << got[0].error().message();
    got[0] = error(errc::lost, "dropped here: the last reference to the client goes on this thread");
    EXPECT_EQ(engine.claims_in("n"), 0U);
}

TEST_F(asynchronous, the_last_reference_may_go_inside_a_completion) {
    std::atomic<bool> done{false};
    connect().mutex("n").async_acquire({}, [&done](result<held> outcome) {
        EXPECT_TRUE(outcome);
        { const result<held> dropped = std::move(outcome); }
        done.store(true);
    });
    EXPECT_TRUE(wait_for([&] { return done.load(); }, 15s));
    EXPECT_TRUE(wait_for([&] { return engine.sessions() == 0; }, 15s));
}

TEST_F(asynchronous, a_waiter_stands_in_line_again_when_the_session_is_lost) {
    auto pool = connect().mutex("n");
    auto other = connect().mutex("n");
    outcomes got;
    const auto blocker = std::make_unique<result<held>>(other.acquire());
    pool.async_acquire({}, got.taker());
    ASSERT_TRUE(wait_for([&] { return engine.claims_in("n") == 2; }, 15s));
    engine.forget_everything();
    ASSERT_TRUE(got.arrived(1));
    EXPECT_TRUE(got[0]) << got[0].error().message();
    EXPECT_GE(engine.appends.load(), 3);
}

TEST_F(asynchronous, a_store_out_of_reach_is_reported_after_op_timeout_and_delays_no_other) {
    auto pool = connect().mutex("n");
    engine.unreachable = true;
    outcomes got;
    std::stop_source stop;
    outcomes stopped;
    pool.async_acquire({}, got.taker());
    pool.async_acquire({.stop = stop.get_token()}, stopped.taker());
    stop.request_stop();
    ASSERT_TRUE(stopped.arrived(1));
    EXPECT_EQ(stopped[0].error().code(), errc::cancelled);
    EXPECT_EQ(got.size(), 0U);
    ASSERT_TRUE(got.arrived(1));
    EXPECT_EQ(got[0].error().code(), errc::unavailable);
}

TEST_F(asynchronous,
       whoever_lets_go_waits_no_longer_than_release_timeout_for_a_session_that_is_being_opened) {
    for (const bool blocking : {true, false}) {
        engine.silent = true;
        auto ours = std::make_optional(
            locks(core::client::adopt(engine.connect(),
                                      "memory:", {.ttl = 10s, .op_timeout = 30s, .release_timeout = 200ms})
                      .value()));
        std::stop_source stop;
        if (blocking) {
            std::jthread waiter([&] {
                EXPECT_EQ(ours->mutex("n").acquire(stop.get_token()).error().code(), errc::cancelled);
            });
            ASSERT_TRUE(wait_for([&] { return engine.opens > 0; }, 15s));
            stop.request_stop();
        } else {
            outcomes got;
            ours->mutex("n").async_acquire({.stop = stop.get_token()}, got.taker());
            ASSERT_TRUE(wait_for([&] { return engine.opens > 0; }, 15s));
            stop.request_stop();
            ASSERT_TRUE(got.arrived(1));
            EXPECT_EQ(got[0].error().code(), errc::cancelled);
        }
        const auto before = std::chrono::steady_clock::now();
        ours.reset();
        EXPECT_LT(std::chrono::steady_clock::now() - before, 10s);
        engine.silent = false; // The session is opened in the end, and nobody wants it.
        EXPECT_TRUE(wait_for([&] { return engine.connections() == 0; }, 15s));
        EXPECT_EQ(engine.sessions(), 0U);
        engine.opens = 0;
    }
}

TEST_F(asynchronous, a_mutex_that_is_handed_over_among_threads_is_for_blocking_calls) {
    auto face = connect().mutex("n", {.local_hand_over = 100ms});
    outcomes got;
    face.async_acquire({}, got.taker());
    ASSERT_TRUE(got.arrived(1));
    EXPECT_EQ(got[0].error().code(), errc::misuse);
    EXPECT_NE(got[0].error().message().find("local_hand_over"), std::string::npos)
        << got[0].error().message();
    EXPECT_TRUE(face.acquire());
}

TEST_F(asynchronous, a_coroutine_waits_works_and_releases_without_a_thread) {
    auto pool = connect().mutex("n");
    auto first = std::make_unique<held>(pool.acquire().value());
    std::atomic<int> inside{0};
    std::atomic<int> done{0};
    std::atomic<bool> overlapped{false};
    const auto work = [&](mutex face) -> detached {
        auto outcome = co_await face.acquire_async();
        EXPECT_TRUE(outcome);
        overlapped = overlapped || inside.fetch_add(1) != 0;
        inside.fetch_sub(1);
        const auto released = co_await release_async(std::move(*outcome));
        EXPECT_TRUE(released);
        done.fetch_add(1);
    };
    constexpr int coroutines = 200;
    for (int index = 0; index < coroutines; ++index) {
        work(pool);
    }
    first.reset();
    EXPECT_TRUE(wait_for([&] { return done.load() == coroutines; }, 30s)) << done.load();
    EXPECT_FALSE(overlapped.load());
    EXPECT_EQ(engine.claims_in("n"), 0U);
}

TEST_F(asynchronous, coroutines_try_and_wait_for_a_while) {
    auto permits = connect().semaphore("n", 2);
    auto shared = connect().shared_mutex("s");
    const auto all = permits.acquire(2).value();
    const auto reader = shared.acquire_shared().value();
    std::atomic<int> done{0};
    std::stop_source stop;
    const auto work = [&]() -> detached {
        auto outcome = co_await permits.try_acquire_async();
        EXPECT_EQ(outcome.error().code(), errc::busy);
        outcome = co_await permits.acquire_async_for(1, 20ms);
        EXPECT_EQ(outcome.error().code(), errc::timed_out);
        outcome = co_await shared.acquire_shared_async();
        EXPECT_TRUE(outcome);
        outcome = co_await shared.try_acquire_async();
        EXPECT_EQ(outcome.error().code(), errc::busy);
        stop.request_stop();
        outcome = co_await permits.acquire_async(2, stop.get_token());
        EXPECT_EQ(outcome.error().code(), errc::cancelled);
        done.fetch_add(1);
    };
    work();
    EXPECT_TRUE(wait_for([&] { return done.load() == 1; }, 15s));
}

TEST_F(asynchronous, a_release_that_is_not_confirmed_says_so) {
    auto pool = connect().mutex("n");
    auto taken = pool.acquire().value();
    engine.silent = true;
    std::atomic<bool> done{false};
    errc code{};
    async_release(std::move(taken), [&](const result<void>& outcome) {
        code = outcome ? errc{} : outcome.error().code();
        done.store(true);
    });
    ASSERT_TRUE(wait_for([&] { return done.load(); }, 15s));
    EXPECT_EQ(code, errc::unknown_outcome);
}

TEST_F(asynchronous, too_many_permits_are_refused_by_the_completion) {
    auto pool = connect().semaphore("n", 3);
    outcomes got;
    pool.async_acquire(4, {}, got.taker());
    ASSERT_TRUE(got.arrived(1));
    EXPECT_EQ(got[0].error().code(), errc::misuse);
}
