// Three real members that are broken while clients take turns: every promise is checked from outside. The
// short forms of what `make chaos STORE=etcd` does for as long as one likes.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include <holdfast/holdfast.hpp>

#include "chaos/etcd_rig.hpp"
#include "chaos/workload.hpp"
#include "support/wait_for.hpp"

namespace holdfast::etcd::testing {
namespace {

using namespace std::chrono_literals;
using chaos::etcd_rig;
using chaos::trouble;
using chaos::workload;
using holdfast::testing::wait_for;

constexpr auto cluster_ttl = 2s; ///< The least that etcd grants.
constexpr auto beyond_ttl = 2500ms;
constexpr auto come_through = cluster_ttl + 5s; ///< What is promised.
constexpr auto busy = 15s;       ///< And what a machine gets on top that has other things to do.
constexpr auto told_within = 2s; ///< Of a revocation; promised is 1 s.

instant cluster_now() {
    return now(clock_source::boottime);
}

class etcd_broken : public ::testing::Test {
  protected:
    static void SetUpTestSuite() { rig_ = std::make_unique<etcd_rig>(); }
    static void TearDownTestSuite() { rig_.reset(); }
    static etcd_rig& rig() { return *rig_; }
    void TearDown() override { // Also after a test that failed in the middle of its trouble.
        for (std::size_t client = 0; client < etcd_rig::clients; ++client) {
            for (const auto& way : rig().network_of(client)) {
                way->heal();
            }
        }
        rig().cluster().start();
    }

    /// Clients work; the trouble begins, lasts, and is healed; then the promises are checked.
    static void go_through(const std::string& name, std::chrono::milliseconds lasting,
                           std::uint64_t seed = 1) {
        const trouble& what = rig().named(name);
        workload work({.urls = rig().urls(), .stem = name, .ttl = cluster_ttl, .seed = seed});
        ASSERT_TRUE(served(work, cluster_now()));
        sim::dice dice(seed);
        const auto before = work.so_far().turns;
        work.allow_overlap(what.revokes ? told_within : 0s);
        what.begin(dice);
        const instant over = cluster_now() + lasting;
        ASSERT_TRUE(wait_for([&] { return cluster_now() >= over; }, lasting + busy));
        const auto meanwhile = work.so_far().turns - before;
        what.heal();
        const instant healed = cluster_now();
        EXPECT_TRUE(served(work, healed));
        const std::chrono::duration<double> took = cluster_now() - healed;
        std::printf("  %s: %llu turns meanwhile, all served %.1f s after the healing\n", name.c_str(),
                    static_cast<unsigned long long>(meanwhile), took.count());
        finish(work, name);
    }

    static void finish(workload& work, const std::string& name) {
        work.finish();
        for (const std::string& broken : work.broken()) {
            ADD_FAILURE() << broken;
        }
        const auto all = work.so_far();
        std::printf("  %s: %llu turns; lost %llu, failed %llu, unknown %llu\n", name.c_str(),
                    static_cast<unsigned long long>(all.turns), static_cast<unsigned long long>(all.lost),
                    static_cast<unsigned long long>(all.failed),
                    static_cast<unsigned long long>(all.unknown));
        nothing_is_left();
    }

    /// What this client asks is done, and nobody tells it.
    static void hold_replies(std::size_t client) {
        for (const auto& way : rig().network_of(client)) {
            way->set({.to_client_held = true});
        }
    }
    static void lose_replies(std::size_t client) {
        for (const auto& way : rig().network_of(client)) {
            way->cut();
            way->heal();
        }
    }

    /// One holds the name, the other waits for it; returns the other's hold.
    static held hand_over(const locks& from, const locks& to, const std::string& name) {
        auto first = from.mutex(name).acquire().value();
        auto waiter = std::async(std::launch::async,
                                 [&] { return to.mutex(name).try_acquire_for(come_through + busy); });
        EXPECT_TRUE(wait_for([&] { return keys_of(name) == 2; }, busy));
        EXPECT_TRUE(first.release());
        auto second = waiter.get();
        EXPECT_TRUE(second) << name << ": " << second.error().message();
        return second ? std::move(*second) : held();
    }

    static std::size_t keys_of(const std::string& name) {
        const std::string keys = rig().cluster().ctl({"get", "--prefix", "--keys-only", name + "/"});
        return static_cast<std::size_t>(std::ranges::count(keys, '/'));
    }

    static bool served(const workload& work, instant since) {
        const bool all = wait_for([&] { return work.all_served_since(since); }, come_through + busy);
        EXPECT_TRUE(all) << work.unserved_since(since);
        return all;
    }

    static void nothing_is_left() {
        std::vector<std::string> left;
        EXPECT_TRUE(wait_for([&] { return (left = rig().left_behind()).empty(); }, come_through + busy))
            << left.size() << " left, the first is " << left.front();
    }

  private:
    static std::unique_ptr<etcd_rig> rig_;
};
std::unique_ptr<etcd_rig> etcd_broken::rig_;

// failures.md 10: the new leader starts every lease anew; waiters go on waiting, and are served.
TEST_F(etcd_broken, a_killed_leader_costs_nobody_a_promise) {
    go_through("leader_killed", beyond_ttl);
}

// failures.md 1, 7, 12, 15.
TEST_F(etcd_broken, a_leader_stopped_beyond_the_ttl_costs_nobody_a_promise) {
    go_through("leader_stopped", beyond_ttl);
}

TEST_F(etcd_broken, a_leader_that_hands_over_costs_nobody_a_promise) {
    go_through("leader_moved", 500ms);
}

TEST_F(etcd_broken, two_of_three_down_and_back_cost_nobody_a_promise) {
    go_through("two_of_three_killed", beyond_ttl);
}

// failures.md 1 and 15. The one who is cut off knows that it holds no more before anybody else can hold.
TEST_F(etcd_broken, a_holder_cut_off_beyond_its_ttl_has_lost_before_the_next_one_holds) {
    workload work({.urls = rig().urls(), .stem = "cut off", .ttl = cluster_ttl, .seed = 1});
    work.cling(0);
    ASSERT_TRUE(wait_for([&] { return work.clings(); }, come_through + busy));
    for (const auto& way : rig().network_of(0)) {
        way->set({.to_server_held = true, .to_client_held = true});
    }
    EXPECT_TRUE(wait_for([&] { return work.so_far().lost > 0 && !work.clings(); }, come_through + busy));
    const instant lost = cluster_now();
    EXPECT_TRUE(
        wait_for([&] { return work.client_served_since(1, lost) && work.client_served_since(2, lost); },
                 come_through + busy))
        << work.unserved_since(lost);
    for (const auto& way : rig().network_of(0)) {
        way->heal();
    }
    work.cling({});
    EXPECT_TRUE(served(work, cluster_now()));
    finish(work, "a holder cut off");
}

// What a leader had taken when it died, and what a member that hangs has been asked, is answered by nobody.
TEST_F(etcd_broken, a_request_without_an_answer_is_asked_again_of_another_member_in_time) {
    const auto& ways = rig().network_of(0); // Its client begins with member 0.
    const auto client = connect(rig().urls().at(0));
    ASSERT_TRUE(client.mutex("asked").acquire().value().release());
    ways.at(0)->set({.to_server_held = true, .to_client_held = true});
    auto again = client.mutex("asked").acquire();
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_TRUE(again->release());
    const auto late = try_connect(rig().urls().at(0));
    ASSERT_TRUE(late) << late.error().message();
    EXPECT_TRUE(late->mutex("asked").acquire());
}

// failures.md 16.
TEST_F(etcd_broken, a_client_of_a_silent_cluster_is_dropped_within_its_release_timeout) {
    auto client =
        std::make_optional(connect(rig().urls().at(0), {.ttl = cluster_ttl, .release_timeout = 500ms}));
    auto mine = client->mutex("silent").acquire();
    ASSERT_TRUE(mine) << mine.error().message();
    for (const auto& way : rig().network_of(0)) {
        way->set({.to_server_held = true, .to_client_held = true});
    }
    const instant start = cluster_now();
    { const held dropped = std::move(*mine); }
    client.reset();
    EXPECT_LT(cluster_now() - start, 2 * 500ms + 2s) << "2 s for a busy machine";
    EXPECT_TRUE(wait_for([&] { return keys_of("silent") == 0; }, come_through + busy))
        << "its lease has ended";
}

// The reply is lost after the commit: the same claim is sent again, and recognises itself.
TEST_F(etcd_broken, an_acquire_whose_reply_was_lost_finds_its_own_claim) {
    const auto client = connect(rig().urls().at(0));
    ASSERT_TRUE(client.mutex("warm").acquire().value().release());
    hold_replies(0);
    auto acquiring = std::async(std::launch::async, [&] { return client.mutex("mine").acquire(); });
    ASSERT_TRUE(wait_for([&] { return keys_of("mine") == 1; }, busy));
    lose_replies(0);
    const auto mine = acquiring.get();
    ASSERT_TRUE(mine) << mine.error().message();
    EXPECT_EQ(keys_of("mine"), 1U);
    const std::string fields = rig().cluster().ctl({"get", "--prefix", "-w", "fields", "mine/"});
    EXPECT_NE(fields.find("\"CreateRevision\" : " + std::to_string(mine->token().value()) + "\n"),
              std::string::npos)
        << fields;
}

// failures.md 6.
TEST_F(etcd_broken, a_release_whose_reply_was_lost_leaves_the_next_hold_of_its_session_alone) {
    const auto client = connect(rig().urls().at(0), {.release_timeout = 500ms});
    auto first = client.mutex("twice").acquire().value();
    hold_replies(0);
    const auto released = first.release();
    ASSERT_FALSE(released);
    EXPECT_EQ(released.error().code(), errc::unknown_outcome);
    ASSERT_TRUE(wait_for([&] { return keys_of("twice") == 0; }, busy));
    lose_replies(0);
    const auto second = client.mutex("twice").acquire();
    ASSERT_TRUE(second) << second.error().message();
    EXPECT_FALSE(wait_for([&] { return second->is_lost() || keys_of("twice") != 1; }, 2s));
}

// failures.md 12: a watch there is silent, and so is everything else.
TEST_F(etcd_broken, a_member_that_is_cut_off_costs_nobody_a_promise) {
    go_through("member_cut_off", beyond_ttl);
}

TEST_F(etcd_broken, a_member_that_is_cut_off_one_way_costs_nobody_a_promise) {
    go_through("member_cut_off_one_way", beyond_ttl);
}

TEST_F(etcd_broken, connections_cut_in_mid_reply_cost_nobody_a_promise) {
    go_through("replies_cut_in_the_middle", 500ms);
}

// failures.md 6 and 11.
TEST_F(etcd_broken, replies_that_are_lost_after_the_commit_cost_nobody_a_promise) {
    go_through("replies_lost", 500ms);
}

TEST_F(etcd_broken, a_history_compacted_while_waiters_watch_costs_nobody_a_promise) {
    go_through("history_compacted", 200ms);
}

TEST_F(etcd_broken, a_lease_revoked_by_hand_costs_nobody_else_a_promise) {
    go_through("lease_revoked", 200ms);
}

// failures.md 18. Also what is opened only afterwards, on connections from before.
TEST_F(etcd_broken, authentication_switched_on_in_mid_run_costs_nobody_a_promise) {
    const trouble& authentication = rig().named("authentication_switched");
    sim::dice dice(1);
    workload work({.urls = rig().urls(), .stem = "auth", .ttl = cluster_ttl, .seed = 1});
    ASSERT_TRUE(served(work, cluster_now()));
    {
        const auto ann = connect(rig().urls().at(0));
        const auto bob = connect(rig().urls().at(1));
        hand_over(ann, bob, "before"); // Each is granted by a watch, so each has a stream of them now.
        hand_over(bob, ann, "before");
        authentication.begin(dice);
        EXPECT_TRUE(served(work, cluster_now()));
        auto second = hand_over(ann, bob, "after");
        auto alone = ann.mutex("alone").acquire().value();
        rig().cluster().ctl({"del", "--prefix", "after/"});
        rig().cluster().ctl({"del", "--prefix", "alone/"});
        EXPECT_TRUE(wait_for([&] { return second.is_lost() && alone.is_lost(); }, come_through));
        EXPECT_EQ(second.reason(), loss_reason::revoked);
        EXPECT_EQ(alone.reason(), loss_reason::revoked);
    }
    authentication.begin(dice);
    EXPECT_TRUE(served(work, cluster_now()));
    finish(work, "authentication");
}

} // namespace
} // namespace holdfast::etcd::testing
