// A real server that is broken while clients take turns: every promise is checked from outside. The short
// forms of what `make chaos STORE=redis` does for as long as one likes. The numbers are those of
// docs/failures.md.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <holdfast/holdfast.hpp>

#include "chaos/redis_rig.hpp"
#include "chaos/workload.hpp"
#include "raw_client.hpp"
#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using chaos::redis_rig;
using chaos::trouble;
using chaos::workload;

constexpr auto redis_ttl = 600ms;
constexpr auto beyond_ttl = 700ms;
constexpr auto come_through = redis_ttl + 5s; ///< What is promised.
constexpr auto busy = 15s;                    ///< And what a machine gets on top that has other things to do.

instant boot_now() {
    return now(clock_source::boottime);
}

class redis_broken : public ::testing::Test {
  protected:
    static void SetUpTestSuite() { rig_ = std::make_unique<redis_rig>(redis_ttl); }
    static void TearDownTestSuite() {
        std::vector<std::string> left;
        EXPECT_TRUE(wait_for([&] { return (left = rig_->left_behind()).empty(); }, come_through + busy))
            << left.size() << " left, the first is " << left.front();
        rig_.reset();
    }
    static redis_rig& rig() { return *rig_; }
    void TearDown() override { // Also after a test that failed in the middle of its trouble.
        for (std::size_t client = 0; client < redis_rig::clients; ++client) {
            rig().way_of(client).heal();
        }
        rig().disk().make_room();
        rig().master().start();
    }

    static locks client(std::size_t which = 0, std::chrono::nanoseconds ttl = redis_ttl) {
        return connect(rig().urls().at(which), {.ttl = ttl, .op_timeout = 2s, .release_timeout = 1s});
    }

    /// Clients work; the trouble begins, lasts, and is healed; then the promises are checked.
    static void go_through(const std::string& name, std::chrono::milliseconds lasting,
                           std::uint64_t seed = 1) {
        const trouble& what = rig().named(name);
        const instant start = boot_now();
        workload work({.urls = rig().urls(), .stem = name, .ttl = redis_ttl, .seed = seed});
        ASSERT_TRUE(served(work, start));
        sim::dice dice(seed);
        const bool meets_a_holder = what.forgets || lasting >= beyond_ttl;
        if (meets_a_holder) {
            work.cling(0);
            ASSERT_TRUE(wait_for([&] { return work.clings(); }, come_through + busy));
        }
        const auto before = work.so_far().turns;
        work.allow_overlap(what.forgets ? redis_ttl : 0ms);
        what.begin(dice);
        const instant over = boot_now() + lasting;
        ASSERT_TRUE(wait_for([&] { return boot_now() >= over; }, lasting + busy));
        const auto meanwhile = work.so_far().turns - before;
        what.heal();
        work.cling({});
        const instant healed = boot_now();
        const std::chrono::duration<double> until_healed = healed - start;
        EXPECT_TRUE(served(work, healed));
        const std::chrono::duration<double> took = boot_now() - healed;
        work.finish();
        const std::chrono::duration<double> until_finished = boot_now() - start;
        for (const std::string& broken : work.broken()) {
            ADD_FAILURE() << broken;
        }
        const auto all = work.so_far();
        std::printf("  %s: %llu turns, %llu of them meanwhile, all served %.1f s after the healing "
                    "at %.1f s, finished at %.1f s; lost %llu, failed %llu, unknown %llu\n",
                    name.c_str(), static_cast<unsigned long long>(all.turns),
                    static_cast<unsigned long long>(meanwhile), took.count(), until_healed.count(),
                    until_finished.count(), static_cast<unsigned long long>(all.lost),
                    static_cast<unsigned long long>(all.failed),
                    static_cast<unsigned long long>(all.unknown));
    }

    static bool served(const workload& work, instant since) {
        const bool all = wait_for([&] { return work.all_served_since(since); }, come_through + busy);
        EXPECT_TRUE(all) << work.unserved_since(since);
        return all;
    }

  private:
    static std::unique_ptr<redis_rig> rig_;
};
std::unique_ptr<redis_rig> redis_broken::rig_;

TEST_F(redis_broken, a_server_killed_with_everything_on_its_disk_costs_nobody_a_promise) {
    go_through("killed_and_restarted", 100ms);
}

TEST_F(redis_broken, a_hold_outlives_a_server_that_keeps_everything) {
    auto locks = client(0, 2s);
    auto held = locks.mutex("kept").acquire();
    ASSERT_TRUE(held) << held.error().message();
    sim::dice dice(1);
    const trouble& restart = rig().named("killed_and_restarted");
    restart.begin(dice);
    restart.heal();
    const auto left = held->valid_for();
    const auto taken = client(1).mutex("kept").try_acquire();
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code(), errc::busy);
    EXPECT_TRUE(wait_for([&] { return held->valid_for() > left; }, 2s)) << "it is renewed as before";
    const auto released = held->release();
    EXPECT_TRUE(released) << released.error().message();
}

TEST_F(redis_broken, a_restart_without_memory_but_later_than_the_longest_ttl_costs_nobody_a_promise) {
    go_through("restarted_late_without_memory", 0ms);
}

// The rig makes sure that the level is "efficiency" there.
TEST_F(redis_broken, a_restart_without_memory_within_the_ttl_is_declared_and_tokens_rise) {
    go_through("restarted_at_once_without_memory", 100ms);
}

// 1
TEST_F(redis_broken, a_server_that_stands_still_beyond_the_ttl_costs_nobody_a_promise) {
    go_through("stopped", beyond_ttl);
}

// 49
TEST_F(redis_broken, all_clients_killed_cost_nobody_a_promise) {
    go_through("clients_killed", 50ms);
}

TEST_F(redis_broken, clients_that_are_paused_cost_nobody_a_promise) {
    go_through("clients_paused", 0ms);
}

TEST_F(redis_broken, writes_that_are_paused_beyond_the_ttl_cost_nobody_a_promise) {
    go_through("writes_paused", beyond_ttl);
}

// 45
TEST_F(redis_broken, flushed_scripts_cost_nobody_a_promise) {
    go_through("scripts_flushed", 50ms);
}

TEST_F(redis_broken, a_full_memory_costs_nobody_a_promise) {
    go_through("memory_full", beyond_ttl);
}

// 44
TEST_F(redis_broken, a_full_disk_that_ends_the_server_costs_nobody_a_promise) {
    go_through("disk_full", 50ms);
}

// 44. Without the promise that every write is on the disk the server goes on, and refuses writes: DEL too.
TEST_F(redis_broken, a_full_disk_that_refuses_del_is_quoted_and_the_hold_ends_by_itself) {
    raw_client raw(rig().master().port());
    ASSERT_EQ(raw.text({"CONFIG", "SET", "appendfsync", "everysec"}), "OK");
    EXPECT_EQ(client().traits().gives, level::efficiency);
    auto locks = client();
    auto held = locks.mutex("full").acquire();
    ASSERT_TRUE(held) << held.error().message();
    const token first = held->token();
    rig().disk().fill();
    EXPECT_TRUE(wait_for(
        [&] {
            return raw({"SET", "filler", std::string(4096, 'x'), "PX", "1"}).text.starts_with("MISCONF");
        },
        busy));
    const auto released = held->release();
    ASSERT_FALSE(released);
    EXPECT_THAT(released.error().message(), ::testing::HasSubstr("MISCONF"));
    const auto refused = locks.mutex("other").try_acquire();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), errc::unavailable);
    EXPECT_THAT(refused.error().message(), ::testing::HasSubstr("MISCONF"));

    rig().disk().make_room();
    auto next = client(1).mutex("full").try_acquire_for(come_through + busy);
    ASSERT_TRUE(next) << next.error().message();
    EXPECT_GT(next->token(), first);
    EXPECT_TRUE(next->release());
    ASSERT_EQ(raw.text({"CONFIG", "SET", "appendfsync", "always"}), "OK");
}

// 41. The rig makes sure that the level is "efficiency" there.
TEST_F(redis_broken, a_replica_promoted_under_load_is_declared_and_tokens_rise) {
    go_through("replica_promoted", 100ms);
}

// 41
TEST_F(redis_broken, a_lock_that_the_promoted_replica_never_saw_is_lost_and_the_next_token_is_higher) {
    auto locks = client(0, 5s);
    auto other = client(1, 5s);
    ASSERT_TRUE(locks.mutex("warm").acquire().value().release());
    std::optional<held> unseen;
    rig().promote_a_replica([&] { unseen = locks.mutex("unseen").acquire().value(); });
    auto next = other.mutex("unseen").acquire();
    ASSERT_TRUE(next) << next.error().message();
    EXPECT_GT(next->token(), unseen->token());
    EXPECT_TRUE(wait_for([&] { return unseen->is_lost(); }, 5s + busy));
    EXPECT_FALSE(unseen->release());
    EXPECT_FALSE(next->is_lost()) << "a late release must not touch the successor";
    EXPECT_TRUE(next->release());
    rig().master().keep_everything();
}

// 42
TEST_F(redis_broken, a_wall_clock_that_jumps_ahead_costs_no_more_than_holds_and_tokens_rise) {
    go_through("clock_jumps_ahead", 100ms);
}

// 42: what the server's clock has ended is lost at the next renewal, and said so; doctor sees why.
TEST_F(redis_broken, a_hold_that_a_jump_ahead_has_ended_is_lost_and_its_successor_has_a_higher_token) {
    auto locks = client(0, 3s);
    auto held = locks.mutex("jump").acquire();
    ASSERT_TRUE(held) << held.error().message();
    rig().clock().jump(1h);
    auto next = client(1, 3s).mutex("jump").try_acquire_for(come_through + busy);
    ASSERT_TRUE(next) << next.error().message();
    EXPECT_GT(next->token(), held->token());
    EXPECT_TRUE(wait_for([&] { return held->is_lost(); }, 3s + busy));
    EXPECT_TRUE(next->release());
    const auto told = locks.diagnose();
    const auto clock = std::ranges::find(told, "clock", &finding::what);
    ASSERT_NE(clock, told.end());
    EXPECT_EQ(clock->how, finding::severity::warning);
    EXPECT_THAT(clock->seen, ::testing::HasSubstr("ahead of"));
}

// 42: leases last longer then, so nobody is let in too early; tokens go back, and whoever has seen a higher
// one of this name refuses.
TEST_F(redis_broken, a_wall_clock_that_is_set_back_lets_nobody_in_early_and_an_older_token_is_refused) {
    auto locks = client(0, 3s);
    auto held = locks.mutex("back").acquire();
    ASSERT_TRUE(held) << held.error().message();
    rig().clock().jump(-1h);
    const auto early = client(1, 3s).mutex("back").try_acquire_for(100ms);
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().code(), errc::timed_out);
    EXPECT_FALSE(held->is_lost());
    EXPECT_TRUE(held->release());
    const auto older = locks.mutex("back").acquire();
    ASSERT_FALSE(older);
    EXPECT_THAT(older.error().message(), ::testing::HasSubstr("went back"));
    rig().clock().jump(1h);
    auto again = locks.mutex("back").acquire();
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_TRUE(again->release());
}

TEST_F(redis_broken, a_slow_network_costs_nobody_a_promise) {
    go_through("all_slow", 300ms);
}

TEST_F(redis_broken, a_server_out_of_reach_beyond_the_ttl_costs_nobody_a_promise) {
    go_through("all_cut_off", beyond_ttl);
}

TEST_F(redis_broken, a_network_that_leads_one_way_costs_nobody_a_promise) {
    go_through("all_cut_off_one_way", beyond_ttl);
}

TEST_F(redis_broken, connections_cut_in_mid_reply_cost_nobody_a_promise) {
    go_through("replies_cut_in_the_middle", 200ms);
}

// 23
TEST_F(redis_broken, replies_that_are_lost_after_the_deed_cost_nobody_a_promise) {
    go_through("replies_lost", 300ms);
}

TEST_F(redis_broken, a_holder_cut_off_beyond_its_ttl_has_lost_before_the_next_one_holds) {
    workload work({.urls = rig().urls(), .stem = "cut off", .ttl = redis_ttl, .seed = 1});
    work.cling(0);
    ASSERT_TRUE(wait_for([&] { return work.clings(); }, come_through + busy));
    rig().way_of(0).set({.to_server_held = true, .to_client_held = true});
    EXPECT_TRUE(wait_for([&] { return work.so_far().lost > 0 && !work.clings(); }, come_through + busy));
    const instant lost = boot_now();
    EXPECT_TRUE(
        wait_for([&] { return work.client_served_since(1, lost) && work.client_served_since(2, lost); },
                 come_through + busy))
        << work.unserved_since(lost);
    rig().way_of(0).heal();
    work.cling({});
    EXPECT_TRUE(served(work, boot_now()));
    work.finish();
    EXPECT_THAT(work.broken(), ::testing::IsEmpty());
}

} // namespace
} // namespace holdfast::testing
