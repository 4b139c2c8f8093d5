#include "cli/guard_plan.hpp"

#include <gtest/gtest.h>

#include "cli/keeper.hpp"

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

instant at(std::chrono::nanoseconds since_start) {
    return instant(1h) + since_start;
}

/// A TTL of 10 s with the usual margins: TERM at 7.5 s, KILL at 9.5 s.
guard_limits usual() {
    guard_limits limits;
    limits.margin = 500ms;
    limits.kill_after = 2s;
    return limits;
}

TEST(guard, does_nothing_before_the_point_and_looks_again_at_it) {
    guard_plan plan(usual(), at(0s));
    const auto step = plan.at(at(7499ms), at(10s));
    EXPECT_FALSE(step.terminate);
    EXPECT_FALSE(step.kill);
    EXPECT_EQ(step.look_again, at(7500ms));
    EXPECT_EQ(plan.verdict(), guard_verdict::running);
}

TEST(guard, sends_term_then_kill_before_the_deadline) {
    guard_plan plan(usual(), at(0s));
    const auto first = plan.at(at(7500ms), at(10s));
    EXPECT_TRUE(first.terminate);
    EXPECT_FALSE(first.kill);
    EXPECT_EQ(first.look_again, at(9500ms));
    EXPECT_EQ(plan.verdict(), guard_verdict::lost);
    EXPECT_FALSE(plan.at(at(8s), at(10s)).terminate) << "once is enough";
    EXPECT_TRUE(plan.at(at(9500ms), at(10s)).kill);
    EXPECT_TRUE(plan.at(at(9600ms), at(10s)).kill) << "again and again: processes may still be forking";
}

TEST(guard, follows_the_deadline_when_it_moves) {
    guard_plan plan(usual(), at(0s));
    EXPECT_EQ(plan.at(at(7400ms), at(13s)).look_again, at(10500ms));
    EXPECT_FALSE(plan.at(at(10s), at(13s)).terminate);
}

TEST(guard, is_not_revived_by_a_renewal_that_comes_after_term) {
    guard_plan plan(usual(), at(0s));
    EXPECT_TRUE(plan.at(at(7500ms), at(10s)).terminate);
    EXPECT_TRUE(plan.at(at(9500ms), at(17s)).kill);
    EXPECT_EQ(plan.verdict(), guard_verdict::lost);
}

TEST(guard, that_wakes_too_late_kills_at_once) {
    guard_plan plan(usual(), at(0s));
    const auto step = plan.at(at(30s), at(10s));
    EXPECT_FALSE(step.terminate) << "it could not end what it begins";
    EXPECT_TRUE(step.kill);
}

TEST(guard, with_on_lost_kill_waits_for_the_margin_only) {
    guard_limits limits = usual();
    limits.mode = on_lost::kill;
    guard_plan plan(limits, at(0s));
    EXPECT_EQ(plan.at(at(9s), at(10s)).look_again, at(9500ms));
    const auto step = plan.at(at(9500ms), at(10s));
    EXPECT_TRUE(step.kill);
    EXPECT_FALSE(step.terminate);
}

TEST(guard, with_on_lost_warn_never_signals) {
    guard_limits limits = usual();
    limits.mode = on_lost::warn;
    guard_plan plan(limits, at(0s));
    EXPECT_EQ(plan.at(at(9900ms), at(10s)).look_again, at(10s));
    plan.keeper_is_gone(at(9950ms), at(10s));
    for (const auto when : {10s, 100s}) {
        const auto step = plan.at(at(when), at(10s));
        EXPECT_FALSE(step.terminate);
        EXPECT_FALSE(step.kill);
        EXPECT_EQ(step.look_again, std::nullopt);
    }
    EXPECT_EQ(plan.verdict(), guard_verdict::lost);
}

TEST(guard, on_proof_of_loss_terminates_at_once_and_kills_soon) {
    guard_plan plan(usual(), at(0s));
    plan.hold_is_gone(at(1s), at(10s));
    const auto step = plan.at(at(1s), at(10s));
    EXPECT_TRUE(step.terminate);
    EXPECT_EQ(step.look_again, at(3s));
    EXPECT_TRUE(plan.at(at(3s), at(10s)).kill);
    EXPECT_EQ(plan.verdict(), guard_verdict::lost);
}

TEST(guard, on_proof_of_loss_never_kills_later_than_the_deadline_asks) {
    guard_plan plan(usual(), at(0s));
    plan.hold_is_gone(at(7s), at(8s));
    EXPECT_EQ(plan.at(at(7s), at(8s)).look_again, at(7500ms));
}

TEST(guard, kills_at_once_when_the_keeper_dies_and_the_claim_with_it) {
    guard_limits limits = usual();
    limits.claim_outlives_keeper = false;
    guard_plan plan(limits, at(0s));
    plan.keeper_is_gone(at(1s), at(10s));
    EXPECT_TRUE(plan.at(at(1s), at(10s)).kill);
    EXPECT_EQ(plan.verdict(), guard_verdict::keeper_gone);
}

TEST(guard, gives_time_to_end_when_the_lease_outlives_the_keeper) {
    guard_plan plan(usual(), at(0s));
    plan.keeper_is_gone(at(1s), at(10s));
    const auto step = plan.at(at(1s), at(10s));
    EXPECT_TRUE(step.terminate);
    EXPECT_FALSE(step.kill);
    EXPECT_TRUE(plan.at(at(3s), at(10s)).kill);
}

TEST(guard, ends_a_command_that_holds_too_long) {
    guard_limits limits = usual();
    limits.max_hold = 60s;
    guard_plan plan(limits, at(0s));
    EXPECT_EQ(plan.at(at(59s), at(69s)).look_again, at(60s));
    EXPECT_TRUE(plan.at(at(60s), at(69s)).terminate);
    EXPECT_EQ(plan.verdict(), guard_verdict::too_long);
    EXPECT_TRUE(plan.at(at(62s), at(72s)).kill);
    EXPECT_EQ(plan.verdict(), guard_verdict::too_long);
}

TEST(guard, lets_leftovers_end_by_themselves_before_it_ends_them) {
    guard_plan plan(usual(), at(0s));
    plan.command_left_others(at(1s));
    const auto step = plan.at(at(1s), at(10s));
    EXPECT_FALSE(step.terminate);
    EXPECT_EQ(step.look_again, at(3s));
    EXPECT_TRUE(plan.at(at(3s), at(11s)).terminate);
    EXPECT_TRUE(plan.at(at(5s), at(13s)).kill);
    EXPECT_EQ(plan.verdict(), guard_verdict::leftovers);
}

TEST(guard, holds_leftovers_to_the_deadline_too) {
    guard_plan plan(usual(), at(0s));
    plan.command_left_others(at(7s));
    EXPECT_TRUE(plan.at(at(7500ms), at(10s)).terminate);
    EXPECT_TRUE(plan.at(at(9500ms), at(10s)).kill);
    EXPECT_EQ(plan.verdict(), guard_verdict::lost);
}

TEST(limits, leave_half_of_the_ttl_to_the_command) {
    guard_limits limits = usual();
    EXPECT_TRUE(limits_fit(limits, 10s));
    EXPECT_FALSE(limits_fit(limits, 5s));
    limits.margin = 3s;
    EXPECT_FALSE(limits_fit(limits, 10s));
}

TEST(keeper, looks_for_a_renewal_right_after_it_is_due_then_often) {
    const instant renewed = at(0s);
    EXPECT_EQ(next_look(renewed, renewed + 9s, 9s), renewed + 3s + 180ms);
    EXPECT_EQ(next_look(renewed + 3180ms, renewed + 9s, 9s), renewed + 3180ms + 450ms);
}

} // namespace
} // namespace holdfast::cli
