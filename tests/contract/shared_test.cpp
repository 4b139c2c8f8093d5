// shared_mutex, current() and the standard's guards on every store.
#include "contract/face_test.hpp"

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

// The standard's named requirements, as far as the language can say them.
template <typename L>
concept basic_lockable = requires(L& lock) {
    { lock.lock() } -> std::same_as<void>;
    { lock.unlock() }
    noexcept->std::same_as<void>;
};
template <typename L>
concept timed_lockable = basic_lockable<L> && requires(L& lock) {
    { lock.try_lock() } -> std::same_as<bool>;
    { lock.try_lock_for(std::chrono::minutes(1)) } -> std::same_as<bool>;
    { lock.try_lock_for(std::chrono::duration<float>(0.5F)) } -> std::same_as<bool>;
    { lock.try_lock_until(std::chrono::system_clock::now()) } -> std::same_as<bool>;
    { lock.try_lock_until(std::chrono::steady_clock::now()) } -> std::same_as<bool>;
};
template <typename L>
concept shared_timed_lockable = requires(L& lock) {
    { lock.lock_shared() } -> std::same_as<void>;
    { lock.unlock_shared() }
    noexcept->std::same_as<void>;
    { lock.try_lock_shared() } -> std::same_as<bool>;
    { lock.try_lock_shared_for(std::chrono::minutes(1)) } -> std::same_as<bool>;
    { lock.try_lock_shared_until(std::chrono::system_clock::now()) } -> std::same_as<bool>;
    { lock.try_lock_shared_until(std::chrono::steady_clock::now()) } -> std::same_as<bool>;
};
static_assert(timed_lockable<mutex> && timed_lockable<shared_mutex> && shared_timed_lockable<shared_mutex>);
static_assert(!shared_timed_lockable<mutex>);
static_assert(std::is_nothrow_move_constructible_v<held> && !std::is_copy_constructible_v<held>);

class shared_access : public face_test {};

TEST_P(shared_access, readers_hold_together_and_a_writer_alone) {
    const auto ann = connect();
    const auto bob = connect();
    auto first = ann.shared_mutex(fresh()).acquire_shared();
    ASSERT_TRUE(first) << first.error().message();
    auto second = bob.shared_mutex(fresh()).try_acquire_shared();
    ASSERT_TRUE(second) << second.error().message();
    EXPECT_NE(first->token(), second->token());
    EXPECT_EQ(code_of(bob.shared_mutex(fresh()).try_acquire()), errc::busy);
    EXPECT_EQ(code_of(bob.mutex(fresh()).try_acquire()), errc::busy);
    EXPECT_TRUE(first->release());
    EXPECT_EQ(code_of(ann.shared_mutex(fresh()).try_acquire_for(20ms)), errc::timed_out);
    EXPECT_TRUE(second->release());
    auto writer = ann.shared_mutex(fresh()).try_acquire();
    ASSERT_TRUE(writer) << writer.error().message();
    EXPECT_GT(writer->token(), second->token());
    EXPECT_EQ(code_of(bob.shared_mutex(fresh()).try_acquire_shared()), errc::busy);
    EXPECT_EQ(code_of(bob.shared_mutex(fresh()).try_acquire_shared_for(20ms)), errc::timed_out);
    EXPECT_EQ(
        code_of(bob.shared_mutex(fresh()).try_acquire_shared_until(std::chrono::system_clock::now() + 20ms)),
        errc::timed_out);
    EXPECT_EQ(code_of(bob.mutex(fresh()).try_acquire()), errc::busy);
}

TEST_P(shared_access, a_reader_behind_a_waiting_writer_waits_for_it) {
    const auto ann = connect();
    const auto bob = connect();
    auto reader = ann.shared_mutex(fresh()).acquire_shared();
    ASSERT_TRUE(reader) << reader.error().message();
    std::atomic<int> order{0};
    int writer_was = 0;
    int late_reader_was = 0;
    std::thread writer([&] {
        auto mine = bob.shared_mutex(fresh()).acquire();
        EXPECT_TRUE(mine) << (mine ? "" : mine.error().message());
        writer_was = ++order;
    });
    ASSERT_TRUE(wait_for([&] { return in_line(ann, fresh()) == 2; }, 10s));
    EXPECT_EQ(code_of(ann.shared_mutex(fresh()).try_acquire_shared()), errc::busy);
    std::thread late([&] {
        auto mine = ann.shared_mutex(fresh()).acquire_shared();
        EXPECT_TRUE(mine) << (mine ? "" : mine.error().message());
        late_reader_was = ++order;
    });
    ASSERT_TRUE(wait_for([&] { return in_line(ann, fresh()) == 3; }, 10s));
    EXPECT_EQ(order, 0);
    EXPECT_TRUE(reader->release());
    writer.join();
    late.join();
    EXPECT_EQ(writer_was, 1);
    EXPECT_EQ(late_reader_was, 2);
}

TEST_P(shared_access, the_standard_guards_take_our_locks) {
    const auto ann = connect();
    const auto bob = connect();
    auto lone = ann.mutex(fresh("a"));
    auto shared = ann.shared_mutex(fresh("b"));
    auto others_lone = bob.mutex(fresh("a"));
    auto others_shared = bob.shared_mutex(fresh("b"));
    {
        const std::scoped_lock both(lone, shared);
        EXPECT_FALSE(others_lone.try_lock());
        EXPECT_FALSE(others_shared.try_lock_shared());
        EXPECT_FALSE(others_shared.try_lock_shared_for(10ms));
        EXPECT_FALSE(others_shared.try_lock_shared_until(std::chrono::steady_clock::now() + 10ms));
    }
    {
        const std::shared_lock reading(shared);
        const std::shared_lock also(others_shared, std::try_to_lock);
        EXPECT_TRUE(also.owns_lock());
        const std::shared_lock timed(others_shared, 1min);
        EXPECT_TRUE(timed.owns_lock());
        const std::unique_lock writing(others_shared, std::try_to_lock);
        EXPECT_FALSE(writing.owns_lock());
        const std::unique_lock timed_writing(others_shared, 10ms);
        EXPECT_FALSE(timed_writing.owns_lock());
    }
    std::unique_lock first(lone, std::defer_lock);
    std::unique_lock second(shared, std::defer_lock);
    std::lock(first, second);
    EXPECT_EQ(std::try_lock(others_lone, others_shared), 0);
    first.unlock();
    EXPECT_EQ(std::try_lock(others_lone, others_shared), 1);
    second.unlock();
    EXPECT_EQ(std::try_lock(others_lone, others_shared), -1);
    others_lone.unlock();
    others_shared.unlock();
}

TEST_P(shared_access, holds_of_lock_and_of_lock_shared_stay_apart) {
    const auto ann = connect();
    const auto bob = connect();
    auto mine = ann.shared_mutex(fresh());
    auto theirs = bob.shared_mutex(fresh());
    mine.lock_shared();
    mine.unlock(); // There is none of lock(): nothing happens.
    EXPECT_FALSE(theirs.try_lock());
    EXPECT_TRUE(mine.try_lock_shared());
    mine.unlock_shared();
    EXPECT_FALSE(theirs.try_lock());
    mine.unlock_shared();
    mine.unlock_shared();
    EXPECT_TRUE(theirs.try_lock());
    theirs.unlock_shared();
    EXPECT_FALSE(mine.try_lock_shared());
    theirs.unlock();
    EXPECT_TRUE(mine.try_lock());
    mine.unlock();
}

TEST_P(shared_access, durations_of_any_size_are_taken) {
    const auto ann = connect();
    const auto bob = connect();
    auto held = ann.shared_mutex(fresh()).try_acquire_for(std::chrono::hours::max());
    ASSERT_TRUE(held) << held.error().message();
    EXPECT_EQ(code_of(bob.mutex(fresh()).try_acquire_for(std::chrono::hours::min())), errc::timed_out);
    EXPECT_EQ(code_of(bob.mutex(fresh()).try_acquire_until(std::chrono::system_clock::time_point::min())),
              errc::timed_out);
    std::atomic<int> served{0};
    std::thread a([&] {
        auto mine = bob.shared_mutex(fresh()).try_acquire_shared_for(std::chrono::hours::max());
        EXPECT_TRUE(mine) << (mine ? "" : mine.error().message());
        ++served;
    });
    std::thread b([&] {
        auto waits = ann.mutex(fresh());
        EXPECT_TRUE(waits.try_lock_until(
            std::chrono::time_point<std::chrono::system_clock, std::chrono::hours>::max()));
        waits.unlock();
        ++served;
    });
    EXPECT_TRUE(wait_for([&] { return in_line(ann, fresh()) == 3; }, 10s));
    EXPECT_EQ(served, 0);
    EXPECT_TRUE(held->release());
    a.join();
    b.join();
    EXPECT_EQ(served, 2);
}

TEST_P(shared_access, current_shows_the_hold_that_lock_keeps) {
    const auto ann = connect();
    auto pool = ann.shared_mutex(fresh());
    EXPECT_FALSE(pool.current());
    EXPECT_EQ(pool.current().token(), token());
    EXPECT_EQ(pool.current().valid_for(), 0ns);
    EXPECT_FALSE(pool.current().lost().stop_possible());
    current_hold kept;
    {
        const std::scoped_lock guard(pool);
        kept = pool.current();
        EXPECT_TRUE(kept);
        EXPECT_FALSE(pool.current_shared());
        EXPECT_GT(kept.token().value(), 0U);
        EXPECT_GT(kept.valid_for(), 1s);
        EXPECT_FALSE(kept.is_lost());
        EXPECT_EQ(kept.reason(), loss_reason::none);
        EXPECT_TRUE(kept.lost().stop_possible());
        EXPECT_FALSE(kept.lost().stop_requested());
    }
    EXPECT_FALSE(pool.current());
    EXPECT_EQ(kept.valid_for(), 0ns) << "it was unlocked";
    EXPECT_EQ(kept.reason(), loss_reason::none);
    EXPECT_GT(kept.token().value(), 0U);
    {
        const std::shared_lock guard(pool);
        EXPECT_FALSE(pool.current());
        EXPECT_GT(pool.current_shared().token(), kept.token());
        EXPECT_GT(pool.current_shared().valid_for(), 1s);
    }
    EXPECT_FALSE(pool.current_shared());
}

INSTANTIATE_TEST_SUITE_P(every, shared_access, ::testing::ValuesIn(all_worlds()), world_name);

} // namespace
} // namespace holdfast::testing
