// The faces against a store that misbehaves on demand, and the arithmetic of their durations.
#include "contract/reference_store.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include <holdfast/holdfast.hpp>

#include "core/client.hpp"
#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

TEST(durations, every_duration_becomes_the_nearest_number_of_nanoseconds_that_is_not_less) {
    using detail::saturated;
    EXPECT_EQ(saturated(std::chrono::hours::max()), nanoseconds::max());
    EXPECT_EQ(saturated(std::chrono::hours::min()), nanoseconds::min());
    EXPECT_EQ(saturated(nanoseconds::max()), nanoseconds::max());
    EXPECT_EQ(saturated(nanoseconds::max() - 1ns), nanoseconds::max() - 1ns);
    EXPECT_EQ(saturated(nanoseconds::min()), nanoseconds::min());
    EXPECT_EQ(saturated(1ms), 1'000'000ns);
    EXPECT_EQ(saturated(-1500us), -1'500'000ns);
    EXPECT_EQ(saturated(std::chrono::duration<std::int64_t, std::pico>(1)), 1ns);
    EXPECT_EQ(saturated(std::chrono::duration<std::int64_t, std::pico>(-1)), 0ns);
    EXPECT_EQ(saturated(std::chrono::duration<double>(0.25)), 250ms);
    EXPECT_EQ(saturated(std::chrono::duration<double>(INFINITY)), nanoseconds::max());
    EXPECT_EQ(saturated(std::chrono::duration<float>(-INFINITY)), nanoseconds::min());
    EXPECT_EQ(saturated(std::chrono::duration<double>(NAN)), 0ns);
    static_assert(saturated(2s) == 2'000'000'000ns);
}

TEST(durations, what_is_left_until_any_time_point_does_not_overflow) {
    using detail::time_left;
    using std::chrono::system_clock;
    EXPECT_GT(time_left(system_clock::time_point::max()), std::chrono::hours(24 * 365 * 100));
    EXPECT_EQ(time_left(system_clock::time_point::min()), nanoseconds::min());
    EXPECT_EQ(time_left(std::chrono::time_point<system_clock, std::chrono::hours>::max()),
              nanoseconds::max());
    const auto soon = time_left(std::chrono::steady_clock::now() + 1h);
    EXPECT_LE(soon, 1h);
    EXPECT_GT(soon, 59min);
}

class faces_on_a_bad_store : public ::testing::Test {
  protected:
    locks connect(options how = {.ttl = 600ms, .op_timeout = 500ms, .release_timeout = 300ms}) {
        return locks(core::client::adopt(engine.connect(), "reference:", how).value());
    }
    reference_engine engine;
};

TEST_F(faces_on_a_bad_store, unlock_takes_a_lost_hold_and_leaves_the_valid_one) {
    const auto ann = connect();
    auto shared = ann.shared_mutex("x");
    shared.lock();
    const current_hold first = shared.current();
    const auto lost = first.lost();
    engine.take_away("x", loss_reason::broken);
    EXPECT_EQ(first.reason(), loss_reason::broken);
    EXPECT_TRUE(wait_for([&] { return lost.stop_requested(); }, 5s));
    shared.lock(); // As another thread would, now that the name is free.
    const current_hold second = shared.current();
    EXPECT_GT(second.token(), first.token());
    shared.unlock();
    EXPECT_GT(second.valid_for(), 0ns) << "unlock() ended the valid hold instead of the lost one";
    EXPECT_EQ(engine.claims_in("x"), 1U);
    shared.unlock();
    EXPECT_EQ(second.valid_for(), 0ns);
    EXPECT_EQ(engine.claims_in("x"), 0U);
}

TEST_F(faces_on_a_bad_store, a_lost_shared_hold_is_taken_first_too) {
    const auto ann = connect();
    auto shared = ann.shared_mutex("x");
    shared.lock_shared();
    engine.take_away("x", loss_reason::revoked);
    EXPECT_EQ(shared.current_shared().reason(), loss_reason::revoked);
    EXPECT_TRUE(shared.current_shared().is_lost());
    shared.lock_shared();
    shared.unlock_shared();
    EXPECT_GT(shared.current_shared().valid_for(), 0ns);
    shared.unlock_shared();
    EXPECT_EQ(engine.claims_in("x"), 0U);
}

TEST_F(faces_on_a_bad_store, unlock_is_bounded_and_quiet_when_the_store_is_silent) {
    const auto ann = connect();
    auto shared = ann.shared_mutex("x");
    shared.lock();
    engine.silent = true;
    const auto started = std::chrono::steady_clock::now();
    shared.unlock();
    EXPECT_LT(std::chrono::steady_clock::now() - started, 5s);
    EXPECT_FALSE(shared.current());
    engine.silent = false;
}

TEST_F(faces_on_a_bad_store, what_unlock_could_not_remove_is_removed_in_the_background) {
    const auto ann = connect();
    auto shared = ann.shared_mutex("x");
    shared.lock();
    engine.unreachable = true;
    shared.unlock();
    EXPECT_EQ(engine.claims_in("x"), 1U);
    engine.unreachable = false;
    EXPECT_TRUE(wait_for([&] { return engine.claims_in("x") == 0; }, 5s));
}

TEST_F(faces_on_a_bad_store, a_loss_while_the_others_are_waited_for_ends_the_wait_and_leaves_none) {
    const auto ann = connect();
    const auto bob = connect();
    auto taken = bob.mutex("y").acquire();
    ASSERT_TRUE(taken);
    std::thread thief([&] {
        EXPECT_TRUE(wait_for([&] { return engine.claims_in("y") == 2; }, 5s));
        engine.take_away("x", loss_reason::revoked);
    });
    const auto all = acquire_all(ann.mutex("y"), ann.mutex("x"));
    thief.join();
    ASSERT_FALSE(all);
    EXPECT_EQ(all.error().code(), errc::lost) << all.error().message();
    EXPECT_EQ(engine.claims_in("x"), 0U);
    EXPECT_EQ(engine.claims_in("y"), 1U);
}

TEST_F(faces_on_a_bad_store, the_lockable_forms_throw_what_is_not_an_answer) {
    const auto ann = connect();
    auto shared = ann.shared_mutex("x");
    engine.unreachable = true;
    const auto code_thrown = [](auto&& call) {
        try {
            call();
        } catch (const std::system_error& failure) {
            return failure.code();
        }
        return std::error_code();
    };
    EXPECT_EQ(code_thrown([&] { shared.lock(); }), errc::unavailable);
    EXPECT_EQ(code_thrown([&] { static_cast<void>(shared.try_lock()); }), errc::unavailable);
    EXPECT_EQ(code_thrown([&] { static_cast<void>(shared.try_lock_for(50ms)); }), errc::unavailable);
    EXPECT_EQ(code_thrown([&] { shared.lock_shared(); }), errc::unavailable);
    EXPECT_EQ(code_thrown([&] { static_cast<void>(shared.try_lock_shared()); }), errc::unavailable);
    EXPECT_EQ(code_thrown([&] { static_cast<void>(shared.try_lock_shared_for(50ms)); }), errc::unavailable);
}

} // namespace
} // namespace holdfast::testing
