// What administrators and elections ask of every store: show, break_holds, resize, proposals, watch,
// diagnose.
#include "contract/world.hpp"

#include <atomic>

#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto bound = 15s;

/// Of holders that shall hear of something: where no message reaches them they hear of it by their next
/// renewal.
constexpr auto brisk_ttl = 6s;

class admin : public ::testing::TestWithParam<world_maker> {
  protected:
    void SetUp() override { world_ = GetParam().make(); }

    world& here() { return *world_; }
    /// A name of this test's own.
    static std::string fresh(const std::string& stem = "name") {
        return "admin-" +
               std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()).substr(0, 40) +
               "-" + stem;
    }
    static resource_name named(const std::string& name) { return resource_name::make(name).value(); }

    static resource_status show(member& by, const std::string& name) {
        auto shown = by.engine().show(named(name), by.now() + 5s);
        EXPECT_TRUE(shown) << (shown ? "" : shown.error().message());
        return shown ? *shown : resource_status{};
    }
    static std::size_t holders(member& by, const std::string& name) {
        std::size_t count = 0;
        for (const auto& each : show(by, name).claims) {
            count += each.holds ? 1 : 0;
        }
        return count;
    }
    /// How many holds were broken.
    static std::size_t broken(member& by, const std::string& name, std::optional<token> only = {}) {
        auto count = by.engine().break_holds(named(name), only, by.now() + 5s);
        EXPECT_TRUE(count) << (count ? "" : count.error().message());
        return count ? *count : 0;
    }
    static result<void> resized(member& by, const std::string& name, std::uint32_t permits) {
        return by.engine().resize(named(name), permits, by.now() + 5s);
    }
    static void expect_misuse(const result<void>& outcome) {
        ASSERT_FALSE(outcome);
        EXPECT_EQ(outcome.error().code(), errc::misuse);
        EXPECT_FALSE(outcome.error().message().empty());
    }
    static void expect_hears_of_it(member& holder, const std::shared_ptr<recorded_claim>& claim) {
        EXPECT_TRUE(holder.drive(
            *claim, [](const auto& seen) { return seen.lost > 0; }, bound))
            << "the holder never heard that its hold was broken";
        EXPECT_EQ(claim->seen().lost, 1);
        EXPECT_TRUE(claim->seen().reason == loss_reason::broken ||
                    claim->seen().reason == loss_reason::revoked);
    }
    /// An exclusive claim that proposes something, appended.
    static std::shared_ptr<recorded_claim> campaign(member& by, const std::string& name,
                                                    const std::string& proposal) {
        auto claim = by.make(name, lock_capacity, lock_capacity, proposal);
        by.append(claim);
        return claim;
    }
    static std::optional<std::string> leaders_proposal(member& by, const std::string& name) {
        const resource_status shown = show(by, name);
        return shown.claims.empty() ? std::nullopt : shown.claims.front().proposal;
    }

  private:
    std::unique_ptr<world> world_;
};

TEST_P(admin, show_of_a_free_name_has_no_claims) {
    member ann(here(), long_ttl);
    EXPECT_TRUE(show(ann, fresh()).claims.empty()) << "never used";
    EXPECT_EQ(show(ann, fresh()).name, fresh());
    ann.leave(ann.stand(fresh()));
    EXPECT_TRUE(show(ann, fresh()).claims.empty()) << "used and released";
}

TEST_P(admin, show_tells_the_line_of_one_name_as_list_does) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto first = ann.stand(fresh(), 1, 2);
    const auto second = bob.stand(fresh(), 1, 2);
    const auto third = ann.stand(fresh(), 2, 2);
    const auto elsewhere = ann.stand(fresh("name of another"));
    const resource_status line = show(bob, fresh());
    EXPECT_EQ(line.name, fresh());
    EXPECT_EQ(line.capacity, 2U);
    ASSERT_EQ(line.claims.size(), 3U);
    EXPECT_TRUE(line.claims[0].holds);
    EXPECT_TRUE(line.claims[1].holds);
    EXPECT_FALSE(line.claims[2].holds);
    EXPECT_EQ(line.claims[0].token, first->seen().token);
    EXPECT_EQ(line.claims[1].token, second->seen().token);
    EXPECT_EQ(line.claims[2].weight, 2U);
    const auto all = bob.engine().list(bob.now() + 5s);
    ASSERT_TRUE(all);
    for (const auto& each : *all) {
        if (each.name == fresh()) {
            ASSERT_EQ(each.claims.size(), 3U);
            for (std::size_t i = 0; i < 3; ++i) {
                EXPECT_EQ(each.claims[i].id, line.claims[i].id);
            }
        }
    }
}

TEST_P(admin, a_broken_holder_hears_of_it_and_the_next_in_line_is_granted) {
    member ann(here(), brisk_ttl);
    member bob(here(), long_ttl);
    member chief(here(), long_ttl);
    const auto held = ann.stand(fresh());
    const auto next = bob.stand(fresh());
    const auto after = bob.stand(fresh());
    EXPECT_EQ(broken(chief, fresh()), 1U);
    ASSERT_TRUE(bob.granted(next));
    EXPECT_GT(next->seen().token, held->seen().token);
    EXPECT_EQ(after->seen().granted, 0) << "waiters are granted in turn";
    expect_hears_of_it(ann, held);
    ann.leave(held);
    const resource_status line = show(chief, fresh());
    ASSERT_EQ(line.claims.size(), 2U) << "the removal of a broken hold touches nobody else";
    EXPECT_EQ(line.claims[0].token, next->seen().token);
    bob.leave(next);
    EXPECT_TRUE(bob.granted(after));
}

TEST_P(admin, a_broken_hold_without_waiters_leaves_the_name_free) {
    member ann(here(), brisk_ttl);
    member bob(here(), long_ttl);
    const auto held = ann.stand(fresh());
    EXPECT_EQ(broken(bob, fresh()), 1U);
    EXPECT_EQ(holders(bob, fresh()), 0U);
    const auto next = bob.stand(fresh(), lock_capacity, lock_capacity, true);
    EXPECT_EQ(next->seen().granted, 1);
    EXPECT_GT(next->seen().token, held->seen().token);
    expect_hears_of_it(ann, held);
}

TEST_P(admin, renewing_does_not_bring_a_broken_hold_back) {
    member ann(here(), brisk_ttl);
    member bob(here(), long_ttl);
    const auto held = ann.stand(fresh());
    EXPECT_EQ(broken(bob, fresh()), 1U);
    static_cast<void>(ann.renew());
    expect_hears_of_it(ann, held);
    static_cast<void>(ann.renew());
    EXPECT_TRUE(show(bob, fresh()).claims.empty());
    EXPECT_EQ(bob.stand(fresh())->seen().granted, 1);
    EXPECT_EQ(held->seen().lost, 1);
}

TEST_P(admin, breaking_ends_every_hold_and_no_place_in_the_line) {
    member ann(here(), brisk_ttl);
    member bob(here(), brisk_ttl);
    const auto reader_1 = ann.stand(fresh(), 1);
    const auto reader_2 = bob.stand(fresh(), 1);
    const auto writer = ann.stand(fresh());
    const auto late_reader = bob.stand(fresh(), 1);
    EXPECT_EQ(broken(bob, fresh()), 2U);
    ASSERT_TRUE(ann.granted(writer)) << "a waiter keeps its place, also one of the broken holder's session";
    EXPECT_EQ(late_reader->seen().granted, 0);
    expect_hears_of_it(ann, reader_1);
    expect_hears_of_it(bob, reader_2);
    EXPECT_EQ(show(ann, fresh()).claims.size(), 2U);
    ann.leave(writer);
    EXPECT_TRUE(bob.granted(late_reader));
}

TEST_P(admin, breaking_one_token_ends_that_hold_only) {
    member ann(here(), brisk_ttl);
    member bob(here(), brisk_ttl);
    const auto first = ann.stand(fresh(), 1, 2);
    const auto second = bob.stand(fresh(), 1, 2);
    const auto third = ann.stand(fresh(), 1, 2);
    const auto fourth = bob.stand(fresh(), 1, 2);
    EXPECT_EQ(broken(ann, fresh(), token(second->seen().token)), 1U);
    ASSERT_TRUE(ann.granted(third));
    expect_hears_of_it(bob, second);
    EXPECT_EQ(fourth->seen().granted, 0);
    EXPECT_EQ(first->seen().lost, 0);
    const resource_status line = show(ann, fresh());
    ASSERT_EQ(line.claims.size(), 3U);
    EXPECT_EQ(line.claims[0].token, first->seen().token);
    EXPECT_TRUE(line.claims[0].holds);
}

TEST_P(admin, breaking_what_nobody_holds_breaks_nothing) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    EXPECT_EQ(broken(ann, fresh()), 0U);
    EXPECT_EQ(broken(ann, fresh(), token(1)), 0U);
    const auto held = ann.stand(fresh());
    const auto next = bob.stand(fresh());
    EXPECT_EQ(broken(bob, fresh(), token(held->seen().token + 1)), 0U) << "no hold has this token";
    EXPECT_EQ(broken(bob, fresh(), token(held->seen().token - 1)), 0U) << "no hold has this token any more";
    const resource_status line = show(bob, fresh());
    ASSERT_EQ(line.claims.size(), 2U);
    EXPECT_TRUE(line.claims[0].holds);
    EXPECT_FALSE(line.claims[1].holds);
    EXPECT_EQ(held->seen().lost + next->seen().lost, 0);
}

TEST_P(admin, the_session_of_a_broken_hold_goes_on) {
    member ann(here(), brisk_ttl);
    member bob(here(), long_ttl);
    const auto kept = ann.stand(fresh("kept"));
    const auto held = ann.stand(fresh());
    EXPECT_EQ(broken(bob, fresh()), 1U);
    expect_hears_of_it(ann, held);
    ASSERT_TRUE(ann.renew());
    EXPECT_EQ(kept->seen().lost, 0);
    EXPECT_EQ(holders(bob, fresh("kept")), 1U);
    EXPECT_EQ(ann.stand(fresh())->seen().granted, 1) << "the name is free again, for everybody";
}

TEST_P(admin, a_line_that_grows_grants_those_who_fit_now) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto one = ann.stand(fresh(), 1, 1);
    const auto two = bob.stand(fresh(), 1, 1);
    const auto three = ann.stand(fresh(), 1, 1);
    const auto four = bob.stand(fresh(), 1, 1);
    EXPECT_EQ(two->seen().granted, 0);
    ASSERT_TRUE(resized(bob, fresh(), 3));
    EXPECT_TRUE(bob.granted(two));
    EXPECT_TRUE(ann.granted(three));
    EXPECT_EQ(four->seen().granted, 0);
    EXPECT_GT(two->seen().token, one->seen().token);
    EXPECT_GT(three->seen().token, two->seen().token);
    const resource_status line = show(ann, fresh());
    EXPECT_EQ(line.capacity, 3U);
    EXPECT_EQ(line.claims.size(), 4U);
    ann.leave(one);
    EXPECT_TRUE(bob.granted(four));
}

TEST_P(admin, a_line_that_shrinks_takes_nothing_away_and_grants_when_enough_was_released) {
    member ann(here(), brisk_ttl);
    member bob(here(), brisk_ttl);
    const auto one = ann.stand(fresh(), 1, 3);
    const auto two = bob.stand(fresh(), 1, 3);
    const auto three = ann.stand(fresh(), 1, 3);
    ASSERT_EQ(three->seen().granted, 1);
    ASSERT_TRUE(resized(bob, fresh(), 1));
    EXPECT_EQ(show(bob, fresh()).capacity, 1U);
    EXPECT_EQ(holders(bob, fresh()), 3U);
    const auto next = bob.stand(fresh(), 1, 1);
    EXPECT_EQ(next->seen().granted, 0);
    ann.leave(one);
    EXPECT_EQ(holders(bob, fresh()), 2U);
    bob.leave(two);
    EXPECT_EQ(holders(bob, fresh()), 1U);
    EXPECT_EQ(next->seen().granted, 0) << "granted although the one permit is in use";
    EXPECT_EQ(one->seen().lost + two->seen().lost + three->seen().lost, 0);
    ann.leave(three);
    EXPECT_TRUE(bob.granted(next));
}

TEST_P(admin, a_try_sees_the_new_capacity_of_a_shrunken_line) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto one = ann.stand(fresh(), 1, 3);
    const auto two = ann.stand(fresh(), 1, 3);
    ASSERT_TRUE(resized(bob, fresh(), 1));
    ann.leave(one);
    const auto busy = bob.stand(fresh(), 1, 1, true);
    ASSERT_TRUE(busy->seen().refusal);
    EXPECT_EQ(busy->seen().refusal->code(), errc::busy);
    ann.leave(two);
    EXPECT_EQ(bob.stand(fresh(), 1, 1, true)->seen().granted, 1);
}

TEST_P(admin, after_a_resize_the_old_number_is_misuse_and_the_new_one_is_right) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto one = ann.stand(fresh(), 1, 2);
    ASSERT_TRUE(resized(bob, fresh(), 4));
    const auto old_number = bob.stand(fresh(), 1, 2);
    ASSERT_TRUE(old_number->seen().refusal);
    EXPECT_EQ(old_number->seen().refusal->code(), errc::misuse);
    const auto new_number = bob.stand(fresh(), 3, 4);
    EXPECT_TRUE(bob.granted(new_number));
    const auto full = ann.stand(fresh(), 1, 4);
    EXPECT_EQ(full->seen().granted, 0);
    ann.leave(one);
    EXPECT_TRUE(ann.granted(full));
    ann.leave(full);
    bob.leave(new_number);
    EXPECT_EQ(ann.stand(fresh(), 1, 2)->seen().granted, 1) << "an empty line has no capacity";
}

TEST_P(admin, a_resize_that_cannot_be_is_misuse_and_changes_nothing) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto lock = ann.stand(fresh("lock"));
    expect_misuse(resized(bob, fresh("lock"), 2));
    const auto reader = ann.stand(fresh("reader"), 1);
    expect_misuse(resized(bob, fresh("reader"), 2));
    const auto light = ann.stand(fresh(), 1, 4);
    const auto heavy = bob.stand(fresh(), 3, 4);
    const auto waiter = ann.stand(fresh(), 4, 4);
    expect_misuse(resized(bob, fresh(), 0));
    expect_misuse(resized(bob, fresh(), max_permits + 1));
    expect_misuse(resized(bob, fresh(), 2));
    expect_misuse(resized(bob, fresh(), 3)); // The waiter weighs four.
    const resource_status line = show(ann, fresh());
    EXPECT_EQ(line.capacity, 4U);
    EXPECT_EQ(line.claims.size(), 3U);
    EXPECT_EQ(holders(ann, fresh()), 2U);
    ann.leave(waiter);
    EXPECT_TRUE(resized(bob, fresh(), 3));
    EXPECT_EQ(show(ann, fresh("lock")).capacity, lock_capacity);
}

TEST_P(admin, a_free_name_has_nothing_to_resize) {
    member ann(here(), long_ttl);
    EXPECT_TRUE(resized(ann, fresh(), 3));
    EXPECT_TRUE(show(ann, fresh()).claims.empty());
    EXPECT_EQ(ann.stand(fresh(), 1, 2)->seen().granted, 1);
}

TEST_P(admin, the_leaders_proposal_shows_from_the_grant_on) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto first = campaign(ann, fresh(), "ann:8080");
    EXPECT_EQ(leaders_proposal(bob, fresh()), "ann:8080");
    const auto second = campaign(bob, fresh(), "bob:8080");
    EXPECT_EQ(leaders_proposal(bob, fresh()), "ann:8080");
    ann.leave(first);
    ASSERT_TRUE(bob.granted(second));
    EXPECT_EQ(leaders_proposal(ann, fresh()), "bob:8080");
    bob.leave(second);
    const auto plain = ann.stand(fresh());
    EXPECT_EQ(leaders_proposal(ann, fresh()), std::nullopt) << "a lock proposes nothing, whoever led before";
}

TEST_P(admin, the_leader_replaces_its_proposal) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto leader = campaign(ann, fresh(), "first");
    for (const std::string& words : {std::string("second"), std::string(), std::string("\0\xff\n\"{}", 6),
                                     std::string(max_proposal, 'x')}) {
        const auto told = ann.session().proclaim(*leader, words, ann.now() + 5s);
        ASSERT_TRUE(told) << told.error().message();
        EXPECT_EQ(leaders_proposal(bob, fresh()), words);
    }
    expect_misuse(ann.session().proclaim(*leader, std::string(max_proposal + 1, 'x'), ann.now() + 5s));
    EXPECT_EQ(leaders_proposal(bob, fresh()), std::string(max_proposal, 'x'));
    EXPECT_EQ(holders(bob, fresh()), 1U);
    EXPECT_EQ(show(bob, fresh()).claims[0].token, leader->seen().token);
}

TEST_P(admin, a_lock_may_proclaim_too) {
    member ann(here(), long_ttl);
    const auto leader = ann.stand(fresh());
    ASSERT_TRUE(ann.session().proclaim(*leader, "late", ann.now() + 5s));
    EXPECT_EQ(leaders_proposal(ann, fresh()), "late");
}

TEST_P(admin, a_proposal_outlives_renewals) {
    member ann(here(), here().short_ttl());
    member bob(here(), long_ttl);
    const auto leader = campaign(ann, fresh(), "words");
    const instant until = ann.now() + 2 * ann.session().opened().ttl;
    while (ann.now() < until) {
        ann.drive(
            *leader, [](const auto& seen) { return seen.lost > 0; }, 50ms);
    }
    EXPECT_EQ(leader->seen().lost, 0);
    EXPECT_EQ(leaders_proposal(bob, fresh()), "words");
}

TEST_P(admin, who_leads_no_more_proclaims_nothing) {
    member ann(here(), brisk_ttl);
    member bob(here(), long_ttl);
    const auto released = campaign(ann, fresh(), "ann");
    ann.leave(released);
    const auto next = campaign(bob, fresh(), "bob");
    auto told = ann.session().proclaim(*released, "stale", ann.now() + 5s);
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code(), errc::lost);
    EXPECT_EQ(leaders_proposal(bob, fresh()), "bob");
    bob.leave(next);

    const auto held = campaign(ann, fresh(), "ann again");
    const auto waiting = campaign(bob, fresh(), "bob again");
    EXPECT_EQ(broken(bob, fresh()), 1U);
    told = ann.session().proclaim(*held, "stale", ann.now() + 5s);
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code(), errc::lost);
    ASSERT_TRUE(bob.granted(waiting));
    EXPECT_EQ(leaders_proposal(ann, fresh()), "bob again");
}

TEST_P(admin, a_watch_hints_at_every_change_or_there_is_none) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    member eve(here(), long_ttl);
    std::atomic<int> hints{0};
    auto watch = eve.engine().watch(named(fresh()), [&hints] { ++hints; });
    if (watch == nullptr) {
        return; // This engine does not tell.
    }
    const auto hinted = [&](const char* what, const auto& change) {
        // A hint of what came before may still be on its way.
        EXPECT_TRUE(wait_for(
            [&hints, last = -1]() mutable { return std::exchange(last, hints.load()) == hints.load(); }, 5s));
        const int before = hints.load();
        change();
        EXPECT_TRUE(wait_for([&] { return hints.load() > before; }, bound)) << what;
    };
    std::shared_ptr<recorded_claim> first;
    std::shared_ptr<recorded_claim> second;
    hinted("a grant", [&] { first = ann.stand(fresh()); });
    hinted("a newcomer", [&] { second = campaign(bob, fresh(), "bob"); });
    hinted("a hand-over", [&] { ann.leave(first); });
    ASSERT_TRUE(bob.granted(second));
    hinted("another proposal",
           [&] { EXPECT_TRUE(bob.session().proclaim(*second, "bob again", bob.now() + 5s)); });
    hinted("a release", [&] { bob.leave(second); });
    watch.reset();
    const int last = hints.load();
    ann.leave(ann.stand(fresh()));
    EXPECT_TRUE(show(eve, fresh()).claims.empty());
    EXPECT_EQ(hints.load(), last) << "called after its watch was destroyed";
}

TEST_P(admin, the_engines_key_of_a_claim_is_told_where_there_is_one) {
    member ann(here(), long_ttl);
    const auto first = ann.stand(fresh());
    const auto second = ann.stand(fresh());
    const std::string one = ann.session().engine_key(*first);
    const std::string other = ann.session().engine_key(*second);
    if (ann.traits().engine == "etcd") {
        EXPECT_FALSE(one.empty());
        EXPECT_FALSE(other.empty());
        EXPECT_NE(one, other);
    } else if (ann.traits().engine == "redis") {
        EXPECT_FALSE(one.empty());
        EXPECT_EQ(one, other) << "there is one gate a name";
    } else {
        EXPECT_TRUE(one.empty());
    }
}

TEST_P(admin, a_healthy_engine_is_diagnosed_without_errors) {
    member ann(here(), long_ttl);
    const auto findings = ann.engine().diagnose(long_ttl, ann.now() + 10s);
    EXPECT_FALSE(findings.empty());
    for (const auto& each : findings) {
        EXPECT_FALSE(each.what.empty());
        EXPECT_FALSE(each.seen.empty()) << each.what;
        EXPECT_NE(each.how, finding::severity::error) << each.what << ": " << each.seen;
        EXPECT_EQ(each.remedy.empty(), each.how == finding::severity::fine)
            << each.what << ": " << each.remedy;
    }
}

INSTANTIATE_TEST_SUITE_P(every, admin, ::testing::ValuesIn(all_worlds()), world_name);

} // namespace
} // namespace holdfast::testing
