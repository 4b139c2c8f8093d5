// The public faces on every store: what a user of mutex and semaphore is promised.
#include "contract/face_test.hpp"

#include <atomic>
#include <mutex>
#include <thread>

#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class faces : public face_test {};

TEST_P(faces, a_mutex_excludes_between_connections_and_its_tokens_rise) {
    const auto ann = connect();
    const auto bob = connect();
    auto first = ann.mutex(fresh()).acquire();
    ASSERT_TRUE(first) << first.error().message();
    EXPECT_GT(first->valid_for(), 5s);
    EXPECT_LE(first->valid_for(), 10s);
    EXPECT_EQ(first->reason(), loss_reason::none);
    const auto tried = bob.mutex(fresh()).try_acquire();
    ASSERT_FALSE(tried);
    EXPECT_EQ(tried.error().code(), errc::busy);
    const auto before = first->token();
    EXPECT_TRUE(first->release());
    auto second = bob.mutex(fresh()).acquire();
    ASSERT_TRUE(second) << second.error().message();
    EXPECT_GT(second->token(), before);
}

TEST_P(faces, a_destroyed_or_overwritten_hold_is_released) {
    const auto ann = connect();
    const auto bob = connect();
    {
        const auto gone = ann.mutex(fresh()).acquire();
        ASSERT_TRUE(gone);
    }
    auto kept = bob.mutex(fresh()).try_acquire();
    ASSERT_TRUE(kept) << kept.error().message();
    auto other = bob.mutex(fresh("other")).try_acquire();
    ASSERT_TRUE(other);
    *kept = std::move(*other);
    EXPECT_TRUE(ann.mutex(fresh()).try_acquire());
    EXPECT_FALSE(ann.mutex(fresh("other")).try_acquire());
}

TEST_P(faces, a_hold_outlives_its_mutex_and_its_locks) {
    held kept;
    {
        const auto ann = connect();
        kept = ann.mutex(fresh()).acquire().value();
    }
    const auto bob = connect();
    EXPECT_FALSE(bob.mutex(fresh()).try_acquire());
    EXPECT_GT(kept.valid_for(), 0s);
    EXPECT_TRUE(kept.release());
    EXPECT_TRUE(bob.mutex(fresh()).try_acquire());
}

TEST_P(faces, waiting_ends_at_the_limit_and_leaves_nothing) {
    const auto ann = connect();
    const auto bob = connect();
    auto held = ann.mutex(fresh()).acquire();
    const auto late = bob.mutex(fresh()).try_acquire_for(150ms);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code(), errc::timed_out);
    const auto at_once = bob.mutex(fresh()).try_acquire_for(0ms);
    ASSERT_FALSE(at_once);
    EXPECT_EQ(at_once.error().code(), errc::timed_out);
    EXPECT_TRUE(held->release());
    EXPECT_TRUE(ann.mutex(fresh()).try_acquire())
        << "a claim of the caller that gave up still stands in line";
}

TEST_P(faces, a_stop_request_ends_the_wait_and_leaves_nothing) {
    const auto ann = connect();
    const auto bob = connect();
    auto held = ann.mutex(fresh()).acquire();
    std::stop_source stop;
    std::thread canceller([&] {
        EXPECT_TRUE(wait_for([&] { return ann.list().value().at(0).claims.size() == 2; }, 10s));
        stop.request_stop();
    });
    const auto cancelled = bob.mutex(fresh()).acquire(stop.get_token());
    canceller.join();
    ASSERT_FALSE(cancelled);
    EXPECT_EQ(cancelled.error().code(), errc::cancelled);
    EXPECT_TRUE(held->release());
    EXPECT_TRUE(ann.mutex(fresh()).try_acquire());
    EXPECT_EQ(bob.mutex(fresh()).acquire(stop.get_token()).error().code(), errc::cancelled);
}

TEST_P(faces, a_waiter_is_served_when_the_holder_leaves) {
    const auto ann = connect();
    const auto bob = connect();
    auto held = ann.mutex(fresh()).acquire();
    std::atomic<bool> served{false};
    std::thread waiter([&] {
        auto mine = bob.mutex(fresh()).acquire();
        EXPECT_TRUE(mine) << (mine ? "" : mine.error().message());
        served = true;
    });
    EXPECT_TRUE(wait_for([&] { return ann.list().value().at(0).claims.size() == 2; }, 10s));
    EXPECT_FALSE(served);
    EXPECT_TRUE(held->release());
    waiter.join();
    EXPECT_TRUE(served);
}

TEST_P(faces, a_hold_is_renewed_for_as_long_as_it_lives) {
    const auto ann = connect({.ttl = std::chrono::ceil<std::chrono::milliseconds>(here().short_ttl())});
    const auto bob = connect();
    auto held = ann.mutex(fresh()).acquire();
    ASSERT_TRUE(held);
    const auto lost = held->lost();
    const auto late = bob.mutex(fresh()).try_acquire_for(5 * here().short_ttl() / 2);
    EXPECT_FALSE(late);
    EXPECT_FALSE(lost.stop_requested());
    EXPECT_GT(held->valid_for(), 0s);
    EXPECT_TRUE(held->release());
}

TEST_P(faces, a_mutex_is_lockable_and_works_with_the_standard_guards) {
    const auto ann = connect();
    const auto bob = connect();
    auto mine = ann.mutex(fresh("a"));
    auto other = ann.mutex(fresh("b"));
    auto theirs = bob.mutex(fresh("a"));
    {
        const std::scoped_lock both(mine, other);
        EXPECT_FALSE(theirs.try_lock());
        EXPECT_FALSE(theirs.try_lock_for(20ms));
        EXPECT_FALSE(theirs.try_lock_until(std::chrono::system_clock::now() + 20ms));
    }
    {
        const std::unique_lock<mutex> locked(theirs, 5s);
        EXPECT_TRUE(locked.owns_lock());
        EXPECT_FALSE(mine.try_lock());
    }
    EXPECT_TRUE(mine.try_lock());
    mine.unlock();
    mine.unlock(); // Without a hold it does nothing.
    EXPECT_TRUE(theirs.try_lock());
    theirs.unlock();
}

TEST_P(faces, one_mutex_object_serves_many_threads) {
    const auto ann = connect();
    auto shared = ann.mutex(fresh());
    int inside = 0; // Guarded by the mutex under test: the sanitizer sees a race if it does not exclude.
    int turns = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int turn = 0; turn < 15; ++turn) {
                const std::scoped_lock guard(shared);
                EXPECT_EQ(++inside, 1);
                ++turns;
                --inside;
            }
        });
    }
    for (auto& each : threads) {
        each.join();
    }
    EXPECT_EQ(turns, 60);
}

TEST_P(faces, a_semaphore_never_gives_more_than_its_permits) {
    const auto ann = connect();
    const auto bob = connect();
    constexpr std::uint32_t capacity = 3;
    std::atomic<int> in_use{0};
    std::atomic<int> most{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&, i] {
            auto pool = (i % 2 == 0 ? ann : bob).semaphore(fresh(), capacity);
            const std::uint32_t weight = i % 4 == 0 ? 2 : 1;
            for (int turn = 0; turn < 8; ++turn) {
                auto permit = pool.acquire(weight);
                ASSERT_TRUE(permit) << permit.error().message();
                const int now_used = in_use += static_cast<int>(weight);
                int seen = most.load();
                while (seen < now_used && !most.compare_exchange_weak(seen, now_used)) {
                }
                EXPECT_LE(now_used, static_cast<int>(capacity));
                std::this_thread::yield();
                in_use -= static_cast<int>(weight);
            }
        });
    }
    for (auto& each : threads) {
        each.join();
    }
    EXPECT_GE(most, 2) << "permits were never used side by side";
}

TEST_P(faces, misuse_is_told_and_leaves_nothing) {
    const auto ann = connect();
    const auto bob = connect();
    auto pool = ann.semaphore(fresh(), 2);
    EXPECT_EQ(pool.acquire(3).error().code(), errc::misuse);
    EXPECT_EQ(pool.acquire(0).error().code(), errc::misuse);
    EXPECT_THROW(ann.semaphore(fresh(), 0), std::system_error);
    EXPECT_THROW(ann.semaphore(fresh(), max_permits + 1), std::system_error);
    EXPECT_THROW(ann.mutex(""), std::system_error);
    EXPECT_THROW(ann.mutex(std::string(513, 'x')), std::system_error);
    auto permit = pool.acquire();
    ASSERT_TRUE(permit) << permit.error().message();
    const auto wrong_kind = bob.mutex(fresh()).acquire();
    ASSERT_FALSE(wrong_kind);
    EXPECT_EQ(wrong_kind.error().code(), errc::misuse);
    EXPECT_NE(wrong_kind.error().message().find(fresh()), std::string::npos) << wrong_kind.error().message();
    EXPECT_EQ(bob.semaphore(fresh(), 5).try_acquire().error().code(), errc::misuse);
    EXPECT_TRUE(permit->release());
    EXPECT_TRUE(bob.mutex(fresh()).try_acquire());
}

TEST_P(faces, an_impossible_ttl_is_refused_with_the_range) {
    auto refused = core::client::adopt(here().connect(), "test:", {.ttl = 25h});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), errc::config);
    EXPECT_NE(refused.error().message().find("86400 s"), std::string::npos) << refused.error().message();
    EXPECT_EQ(core::client::adopt(here().connect(), "test:", {.ttl = 0ns}).error().code(), errc::config);
}

TEST_P(faces, time_outs_of_any_size_are_taken) {
    const auto whole = std::chrono::nanoseconds::max();
    const options endless{.op_timeout = whole, .release_timeout = whole};
    const auto by = here().url().empty() ? connect(endless) : holdfast::connect(here().url(), endless);
    auto face = by.mutex(fresh());
    auto held = face.acquire();
    ASSERT_TRUE(held) << held.error().message();
    EXPECT_EQ(code_of(face.try_acquire()), errc::busy);
    EXPECT_EQ(code_of(face.try_acquire_for(1ms)), errc::timed_out);
    const auto released = held->release();
    EXPECT_TRUE(released) << released.error().message();
    EXPECT_EQ(in_line(by, fresh()), 0U);
}

TEST_P(faces, a_hold_until_death_is_had_from_a_store_that_notices_deaths_and_refused_by_others) {
    auto store = here().connect();
    const bool takes_it = store->traits().until_death;
    const auto connected = core::client::adopt(std::move(store), "test:", {.ttl = until_death});
    ASSERT_EQ(connected.has_value(), takes_it);
    if (!takes_it) {
        EXPECT_EQ(connected.error().code(), errc::config);
        EXPECT_NE(connected.error().message().find("until_death"), std::string::npos);
        EXPECT_NE(connected.error().message().find("local:"), std::string::npos);
    }
}

TEST_P(faces, a_level_that_the_store_cannot_give_is_refused) {
    auto engine = here().connect();
    const level given = engine->traits().gives;
    auto asked = core::client::adopt(std::move(engine), "test:", {.require = level::fenced});
    EXPECT_EQ(static_cast<bool>(asked), given == level::fenced);
    if (!asked) {
        EXPECT_EQ(asked.error().code(), errc::level_not_met);
    }
}

INSTANTIATE_TEST_SUITE_P(every, faces, ::testing::ValuesIn(all_worlds()), world_name);

} // namespace
} // namespace holdfast::testing
