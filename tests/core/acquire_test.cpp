// The acquire machine, sessions and holds against a store that misbehaves on demand.
#include "contract/reference_store.hpp"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <holdfast/holdfast.hpp>

#include "core/client.hpp"
#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class acquire_on_a_bad_store : public ::testing::Test {
  protected:
    locks connect(options how = {.ttl = 600ms, .op_timeout = 500ms, .release_timeout = 300ms}) {
        return locks(core::client::adopt(engine.connect(), "reference:", how).value());
    }
    bool nothing_left() {
        return wait_for([&] { return engine.claims_in("x") == 0; }, 5s);
    }

    reference_engine engine;
};

using bad_store = acquire_on_a_bad_store;

TEST_F(bad_store, a_lost_reply_is_asked_again_and_finds_its_own_claim) {
    const auto ann = connect();
    engine.append_replies_to_lose = 1;
    auto held = ann.mutex("x").acquire();
    ASSERT_TRUE(held) << held.error().message();
    EXPECT_EQ(engine.claims_in("x"), 1U);
    EXPECT_EQ(engine.appends, 2);
    EXPECT_TRUE(held->release());
    EXPECT_EQ(engine.claims_in("x"), 0U);
}

TEST_F(bad_store, replies_that_stay_lost_leave_no_claim_behind) {
    const auto ann = connect();
    engine.append_replies_to_lose = 1000;
    const auto held = ann.mutex("x").acquire();
    ASSERT_FALSE(held);
    EXPECT_EQ(held.error().code(), errc::unavailable) << "the store has confirmed the removal";
    engine.append_replies_to_lose = 0;
    EXPECT_TRUE(nothing_left());
}

TEST_F(bad_store, a_doubt_stays_although_later_attempts_certainly_did_nothing) {
    const auto ann = connect({.ttl = 1h, .op_timeout = 300ms, .release_timeout = 100ms});
    engine.append_replies_to_lose = 1000;
    std::thread outage([&] {
        EXPECT_TRUE(wait_for([&] { return engine.appends > 0; }, 5s));
        engine.unreachable = true;
    });
    const auto held = ann.mutex("x").acquire();
    outage.join();
    ASSERT_FALSE(held);
    EXPECT_EQ(held.error().code(), errc::unknown_outcome) << held.error().message();
    EXPECT_EQ(engine.claims_in("x"), 1U);
    engine.unreachable = false;
    EXPECT_TRUE(nothing_left())
        << "a claim that nobody owns blocks the name for as long as the session lives";
}

TEST_F(bad_store, a_store_out_of_reach_is_unavailable_after_op_timeout) {
    const auto ann = connect();
    engine.unreachable = true;
    const auto started = std::chrono::steady_clock::now();
    const auto held = ann.mutex("x").acquire();
    ASSERT_FALSE(held);
    EXPECT_EQ(held.error().code(), errc::unavailable);
    EXPECT_NE(held.error().message().find("'x'"), std::string::npos);
    EXPECT_LT(std::chrono::steady_clock::now() - started, 5s);
}

TEST_F(bad_store, a_store_that_comes_back_in_time_serves) {
    const auto ann = connect({.ttl = 600ms, .op_timeout = 10s});
    engine.unreachable = true;
    std::thread repair([&] {
        EXPECT_TRUE(wait_for([&] { return engine.appends > 0 || engine.sessions() == 0; }, 5s));
        engine.unreachable = false;
    });
    EXPECT_TRUE(ann.mutex("x").acquire());
    repair.join();
}

TEST_F(bad_store, a_wait_on_a_store_that_never_answers_ends_at_its_limit_with_the_truth) {
    const auto ann = connect();
    ASSERT_TRUE(ann.mutex("warm").acquire());
    engine.silent = true;
    const auto held = ann.mutex("x").try_acquire_for(200ms);
    engine.silent = false;
    ASSERT_FALSE(held);
    EXPECT_EQ(held.error().code(), errc::unknown_outcome) << held.error().message();
    ASSERT_TRUE(held.error().ends_in());
    EXPECT_LE(*held.error().ends_in(), 1200ms); // What is under way may still arrive, within op_timeout.
    EXPECT_TRUE(nothing_left());
}

TEST_F(bad_store, a_removal_that_fails_is_repeated_in_the_background) {
    const auto ann = connect();
    auto held = ann.mutex("x").acquire();
    engine.removals_to_fail = 3;
    const auto released = held->release();
    ASSERT_FALSE(released);
    EXPECT_EQ(released.error().code(), errc::unknown_outcome);
    EXPECT_TRUE(nothing_left());
    EXPECT_TRUE(ann.mutex("x").try_acquire());
}

TEST_F(bad_store, the_deadline_fires_although_no_answer_ever_comes) {
    const auto ann = connect();
    auto held = ann.mutex("x").acquire();
    ASSERT_TRUE(held);
    std::atomic<int> told{0};
    const std::stop_callback callback(held->lost(), [&] { ++told; });
    engine.silent = true;
    EXPECT_TRUE(wait_for([&] { return told == 1; }, 5s));
    EXPECT_EQ(held->valid_for(), 0ns);
    EXPECT_EQ(held->reason(), loss_reason::expired);
    engine.silent = false;
    const auto released = held->release();
    ASSERT_FALSE(released);
    EXPECT_EQ(released.error().code(), errc::lost);
    EXPECT_EQ(told, 1);
}

TEST_F(bad_store, a_loss_is_proved_by_the_store_and_told_once_with_its_reason) {
    const auto ann = connect();
    auto held = ann.mutex("x").acquire();
    std::atomic<int> told{0};
    const std::stop_callback callback(held->lost(), [&] { ++told; });
    engine.take_away("x", loss_reason::broken);
    EXPECT_TRUE(wait_for([&] { return told == 1; }, 5s));
    EXPECT_EQ(held->reason(), loss_reason::broken);
    EXPECT_TRUE(held->lost().stop_requested());
    engine.take_away("x", loss_reason::revoked);
    EXPECT_EQ(held->reason(), loss_reason::broken);
}

TEST_F(bad_store, a_claim_lost_by_our_clock_is_taken_away_although_the_store_would_renew_it) {
    engine.lease_per_claim = true;
    engine.never_expires = true;
    const auto ann = connect();
    auto held = ann.mutex("x").acquire();
    ASSERT_TRUE(held);
    engine.silent = true;
    EXPECT_TRUE(wait_for([&] { return held->is_lost(); }, 5s));
    EXPECT_EQ(engine.claims_in("x"), 1U);
    engine.silent = false;
    EXPECT_TRUE(nothing_left()) << "renewed for ever for a holder that has stopped working";
    EXPECT_EQ(held->reason(), loss_reason::expired);
    EXPECT_EQ(held->release().error().code(), errc::lost);
}

TEST_F(bad_store, a_lease_of_its_own_is_renewed_with_its_claim) {
    engine.lease_per_claim = true;
    const auto ann = connect();
    auto held = ann.mutex("x").acquire();
    const auto lost = held->lost();
    EXPECT_TRUE(wait_for([&] { return engine.renewals >= 8; }, 10s)); // More than two TTLs.
    EXPECT_FALSE(lost.stop_requested());
    EXPECT_GT(held->valid_for(), 0ns);
    EXPECT_TRUE(held->release());
}

TEST_F(bad_store, after_a_lost_session_the_next_acquire_opens_another_and_the_old_hold_stays_lost) {
    const auto ann = connect();
    auto first = ann.mutex("x").acquire();
    const auto lost = first->lost();
    engine.forget_everything();
    EXPECT_TRUE(wait_for([&] { return lost.stop_requested(); }, 5s));
    EXPECT_EQ(first->reason(), loss_reason::revoked);
    auto second = ann.mutex("x").acquire();
    ASSERT_TRUE(second) << second.error().message();
    EXPECT_EQ(first->valid_for(), 0ns);
    EXPECT_FALSE(first->release());
    EXPECT_GT(second->valid_for(), 0ns);
    EXPECT_EQ(engine.claims_in("x"), 1U) << "the release of a lost hold ended its successor";
}

TEST_F(bad_store, a_session_the_store_has_forgotten_is_replaced_at_once_by_the_next_acquire) {
    const auto ann = connect({.ttl = 1h, .op_timeout = 5s});
    ASSERT_TRUE(ann.mutex("x").acquire());
    engine.forget_everything();
    EXPECT_TRUE(ann.mutex("x").acquire()) << "the next renewal would have come in twenty minutes";
}

TEST_F(bad_store, a_waiter_whose_session_is_lost_stands_in_line_again) {
    const auto ann = connect();
    const auto bob = connect();
    auto held = ann.mutex("x").acquire();
    std::thread waiter([&] {
        auto mine = bob.mutex("x").acquire();
        EXPECT_TRUE(mine) << (mine ? "" : mine.error().message());
    });
    EXPECT_TRUE(wait_for([&] { return engine.claims_in("x") == 2; }, 5s));
    engine.forget_everything();
    waiter.join();
    EXPECT_FALSE(held->release());
}

TEST_F(bad_store, a_token_that_goes_back_is_refused) {
    const auto ann = connect();
    ASSERT_TRUE(ann.mutex("x").acquire());
    auto pool = ann.mutex("x");
    ASSERT_TRUE(pool.acquire());
    engine.token_step = -1;
    const auto held = pool.acquire();
    ASSERT_FALSE(held);
    EXPECT_NE(held.error().message().find("went back"), std::string::npos) << held.error().message();
    EXPECT_TRUE(nothing_left());
}

TEST_F(bad_store, a_token_that_goes_back_is_refused_also_when_no_face_was_kept) {
    const auto ann = connect();
    ASSERT_TRUE(ann.mutex("x").acquire());
    for (int other = 0; other < 1000; ++other) {
        static_cast<void>(ann.mutex("other " + std::to_string(other)));
    }
    engine.token_step = -1;
    const auto held = ann.mutex("x").acquire();
    ASSERT_FALSE(held);
    EXPECT_EQ(held.error().code(), errc::misuse) << held.error().message();
    EXPECT_TRUE(nothing_left());
}

TEST_F(bad_store, names_that_nobody_uses_any_more_are_forgotten_in_the_end) {
    const auto made = core::client::adopt(engine.connect(), "reference:", {.ttl = 600ms}).value();
    const auto record = made->record_of(resource_name::make("kept").value());
    record->note(7);
    for (int other = 0; other < 50'000; ++other) {
        made->record_of(resource_name::make("other " + std::to_string(other)).value())->note(8);
    }
    EXPECT_LT(made->names_known(), 20'000U);
    EXPECT_EQ(made->record_of(resource_name::make("kept").value())->highest_token, 7U);
    EXPECT_EQ(made->record_of(resource_name::make("other 49000").value())->highest_token, 8U);
}

TEST_F(bad_store, unlock_takes_the_lost_hold_first) {
    const auto ann = connect();
    auto mine = ann.mutex("x");
    mine.lock();
    engine.take_away("x", loss_reason::broken);
    mine.lock();
    EXPECT_EQ(engine.claims_in("x"), 1U);
    mine.unlock();
    EXPECT_EQ(engine.claims_in("x"), 1U) << "unlock ended a hold that is still valid and in use";
    mine.unlock();
    EXPECT_TRUE(nothing_left());
}

TEST_F(bad_store, unlock_returns_within_release_timeout) {
    const auto ann = connect();
    auto mine = ann.mutex("x");
    mine.lock();
    engine.silent = true;
    const auto started = std::chrono::steady_clock::now();
    mine.unlock();
    EXPECT_LT(std::chrono::steady_clock::now() - started, 3s);
    engine.silent = false;
}

TEST_F(bad_store, renewals_come_every_third_of_the_ttl_and_not_more_often) {
    const auto ann = connect({.ttl = 900ms});
    const auto started = std::chrono::steady_clock::now();
    auto held = ann.mutex("x").acquire();
    EXPECT_TRUE(wait_for([&] { return engine.renewals >= 4; }, 10s));
    EXPECT_GE(std::chrono::steady_clock::now() - started, 4 * 300ms - 5ms);
}

TEST_F(bad_store, closing_ends_the_session_in_the_store) {
    {
        const auto ann = connect({.ttl = 1h});
        ASSERT_TRUE(ann.mutex("x").acquire());
        EXPECT_EQ(engine.sessions(), 1U);
    }
    EXPECT_EQ(engine.sessions(), 0U);
}

TEST_F(bad_store, a_forked_child_holds_nothing_and_disturbs_nothing) {
    const auto ann = connect({.ttl = 10s});
    auto held = std::make_unique<holdfast::held>(ann.mutex("x").acquire().value());
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const bool lost = held->valid_for() == 0ns && held->reason() == loss_reason::forked;
        const bool refused = ann.mutex("y").try_acquire().error().code() == errc::misuse;
        const auto released = held->release();
        const bool kept = !released && released.error().code() == errc::lost;
        held.reset();
        _exit(lost && refused && kept ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_GT(held->valid_for(), 0ns);
    EXPECT_EQ(engine.claims_in("x"), 1U);
}

} // namespace
} // namespace holdfast::testing
