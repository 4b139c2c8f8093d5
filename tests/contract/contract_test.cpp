// The contract that every store must fulfil. One suite for all: a store that passes it can carry every face.
#include "contract/world.hpp"

#include <algorithm>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class contract : public ::testing::TestWithParam<world_maker> {
  protected:
    void SetUp() override { world_ = GetParam().make(); }

    world& here() { return *world_; }
    /// A name of this test's own.
    std::string fresh(const std::string& stem = "name") {
        return std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()).substr(0, 40) +
               "-" + stem;
    }
    /// The line as `ls` would show it; empty when there is none.
    resource_status shown(member& by, const std::string& name) {
        auto all = by.engine().list(by.now() + 5s);
        EXPECT_TRUE(all) << (all ? "" : all.error().message());
        if (all) {
            for (const auto& each : *all) {
                if (each.name == name) {
                    return each;
                }
            }
        }
        return {};
    }

  private:
    std::unique_ptr<world> world_;
};

std::vector<std::uint64_t> tokens_of(const std::vector<std::shared_ptr<recorded_claim>>& claims) {
    std::vector<std::uint64_t> tokens;
    for (const auto& each : claims) {
        tokens.push_back(each->seen().token);
    }
    return tokens;
}

bool strictly_rising(const std::vector<std::uint64_t>& values) {
    return std::adjacent_find(values.begin(), values.end(), std::greater_equal<>()) == values.end();
}

TEST_P(contract, a_free_resource_is_granted_at_once) {
    member ann(here(), long_ttl);
    const auto claim = ann.stand(fresh());
    EXPECT_EQ(claim->seen().granted, 1);
    EXPECT_EQ(claim->seen().waiting, 0);
    EXPECT_GT(claim->seen().token, 0U);
    EXPECT_LT(claim->seen().token, std::uint64_t{1} << 63);
}

TEST_P(contract, a_second_claim_waits_until_the_first_has_left) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto first = ann.stand(fresh());
    const auto second = bob.stand(fresh());
    EXPECT_EQ(second->seen().granted, 0);
    EXPECT_EQ(second->seen().waiting, 1);
    ann.leave(first);
    ASSERT_TRUE(bob.granted(second));
    EXPECT_GT(second->seen().token, first->seen().token);
}

TEST_P(contract, claims_of_one_session_exclude_each_other_too) {
    member ann(here(), long_ttl);
    const auto first = ann.stand(fresh());
    const auto second = ann.stand(fresh());
    EXPECT_EQ(second->seen().granted, 0);
    ann.leave(first);
    ASSERT_TRUE(ann.granted(second));
    EXPECT_GT(second->seen().token, first->seen().token);
}

TEST_P(contract, only_if_free_is_granted_when_free) {
    member ann(here(), long_ttl);
    const auto claim = ann.stand(fresh(), lock_capacity, lock_capacity, true);
    EXPECT_EQ(claim->seen().granted, 1);
}

TEST_P(contract, only_if_free_leaves_no_trace_when_busy) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto first = ann.stand(fresh());
    const auto tried = bob.stand(fresh(), lock_capacity, lock_capacity, true);
    ASSERT_TRUE(tried->seen().refusal);
    EXPECT_EQ(tried->seen().refusal->code(), errc::busy);
    EXPECT_EQ(shown(ann, fresh()).claims.size(), 1U);
    ann.leave(first);
    const auto next = ann.stand(fresh());
    EXPECT_EQ(next->seen().granted, 1);
    EXPECT_EQ(tried->seen().granted, 0);
}

TEST_P(contract, only_if_free_does_not_barge_past_waiters) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto reader = ann.stand(fresh(), 1);
    const auto writer = bob.stand(fresh());
    EXPECT_EQ(writer->seen().granted, 0);
    const auto tried = ann.stand(fresh(), 1, lock_capacity, true);
    ASSERT_TRUE(tried->seen().refusal);
    EXPECT_EQ(tried->seen().refusal->code(), errc::busy);
    ann.leave(reader);
    EXPECT_TRUE(bob.granted(writer));
}

TEST_P(contract, a_repeated_append_finds_the_claim_that_holds) {
    member ann(here(), long_ttl);
    const auto claim = ann.stand(fresh());
    const auto first_token = claim->seen().token;
    ann.append(claim);
    EXPECT_EQ(claim->seen().token, first_token);
    EXPECT_EQ(shown(ann, fresh()).claims.size(), 1U);
    ann.append(claim, true);
    EXPECT_FALSE(claim->seen().refusal);
    EXPECT_EQ(claim->seen().token, first_token);
}

TEST_P(contract, a_repeated_append_finds_the_claim_that_waits) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto first = ann.stand(fresh());
    const auto second = bob.stand(fresh());
    bob.append(second);
    EXPECT_EQ(second->seen().granted, 0);
    EXPECT_EQ(shown(ann, fresh()).claims.size(), 2U);
    ann.leave(first);
    EXPECT_TRUE(bob.granted(second));
}

TEST_P(contract, waiters_are_served_in_the_order_they_came) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    std::vector<std::shared_ptr<recorded_claim>> line;
    for (int i = 0; i < 8; ++i) {
        line.push_back((i % 2 == 0 ? ann : bob).stand(fresh()));
    }
    for (std::size_t i = 0; i < line.size(); ++i) {
        member& whose = i % 2 == 0 ? ann : bob;
        ASSERT_TRUE(whose.granted(line[i])) << "place " << i;
        for (std::size_t later = i + 1; later < line.size(); ++later) {
            ASSERT_EQ(line[later]->seen().granted, 0) << "place " << later << " overtook " << i;
        }
        whose.leave(line[i]);
    }
    EXPECT_TRUE(strictly_rising(tokens_of(line)));
}

TEST_P(contract, readers_share_and_a_writer_waits_for_them_in_order) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto reader_1 = ann.stand(fresh(), 1);
    const auto reader_2 = bob.stand(fresh(), 1);
    EXPECT_EQ(reader_2->seen().granted, 1);
    const auto writer = bob.stand(fresh());
    const auto late_reader = ann.stand(fresh(), 1);
    const auto later_reader = bob.stand(fresh(), 1);
    EXPECT_EQ(writer->seen().granted, 0);
    EXPECT_EQ(late_reader->seen().granted, 0) << "a reader barged past a waiting writer";
    ann.leave(reader_1);
    EXPECT_EQ(writer->seen().granted, 0);
    bob.leave(reader_2);
    ASSERT_TRUE(bob.granted(writer));
    EXPECT_EQ(late_reader->seen().granted, 0);
    bob.leave(writer);
    EXPECT_TRUE(ann.granted(late_reader));
    EXPECT_TRUE(bob.granted(later_reader));
    EXPECT_NE(late_reader->seen().token, later_reader->seen().token);
    EXPECT_GT(late_reader->seen().token, writer->seen().token);
}

TEST_P(contract, a_waiter_that_leaves_lets_those_behind_it_through) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto reader = ann.stand(fresh(), 1);
    const auto writer = bob.stand(fresh());
    const auto behind = ann.stand(fresh(), 1);
    EXPECT_EQ(behind->seen().granted, 0);
    bob.leave(writer);
    EXPECT_TRUE(ann.granted(behind));
    EXPECT_EQ(writer->seen().granted, 0);
    ann.leave(reader);
}

TEST_P(contract, permits_are_given_up_to_the_capacity_and_in_order) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    constexpr std::uint32_t capacity = 3;
    const auto one = ann.stand(fresh(), 1, capacity);
    const auto another = bob.stand(fresh(), 1, capacity);
    const auto heavy = ann.stand(fresh(), 2, capacity);
    const auto light = bob.stand(fresh(), 1, capacity);
    EXPECT_EQ(another->seen().granted, 1);
    EXPECT_EQ(heavy->seen().granted, 0);
    EXPECT_EQ(light->seen().granted, 0) << "one permit is free, but a heavier claim came first";
    ann.leave(one);
    ASSERT_TRUE(ann.granted(heavy));
    EXPECT_EQ(light->seen().granted, 0);
    bob.leave(another);
    EXPECT_TRUE(bob.granted(light));
}

TEST_P(contract, a_departure_may_grant_several_at_once) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    constexpr std::uint32_t capacity = 4;
    const auto all = ann.stand(fresh(), capacity, capacity);
    std::vector<std::shared_ptr<recorded_claim>> waiting;
    for (int i = 0; i < 5; ++i) {
        waiting.push_back((i % 2 == 0 ? ann : bob).stand(fresh(), 1, capacity));
    }
    ann.leave(all);
    for (std::size_t i = 0; i < 4; ++i) {
        ASSERT_TRUE((i % 2 == 0 ? ann : bob).granted(waiting[i])) << "place " << i;
    }
    EXPECT_EQ(waiting[4]->seen().granted, 0);
    auto tokens = tokens_of(waiting);
    tokens.pop_back();
    EXPECT_TRUE(strictly_rising(tokens));
    bob.leave(waiting[1]);
    EXPECT_TRUE(ann.granted(waiting[4]));
}

TEST_P(contract, another_kind_or_capacity_on_one_name_is_misuse_and_leaves_no_trace) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto permit = ann.stand(fresh(), 1, 3);
    for (const auto& [weight, capacity] :
         {std::pair{lock_capacity, lock_capacity}, std::pair{1U, lock_capacity}, std::pair{1U, 4U}}) {
        const auto wrong = bob.stand(fresh(), weight, capacity);
        ASSERT_TRUE(wrong->seen().refusal) << capacity;
        EXPECT_EQ(wrong->seen().refusal->code(), errc::misuse);
        EXPECT_NE(wrong->seen().refusal->message().find("3"), std::string::npos)
            << "the message should name the capacity in use: " << wrong->seen().refusal->message();
        EXPECT_EQ(wrong->seen().granted, 0);
    }
    EXPECT_EQ(shown(ann, fresh()).claims.size(), 1U);
    const auto fits = bob.stand(fresh(), 2, 3);
    EXPECT_TRUE(bob.granted(fits));
    ann.leave(permit);
    bob.leave(fits);
    const auto lock = bob.stand(fresh());
    EXPECT_EQ(lock->seen().granted, 1) << "an empty line has no kind";
    const auto wrong = ann.stand(fresh(), 1, 3);
    ASSERT_TRUE(wrong->seen().refusal);
    EXPECT_EQ(wrong->seen().refusal->code(), errc::misuse);
}

TEST_P(contract, tokens_rise_over_the_whole_history_of_a_name) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    std::vector<std::shared_ptr<recorded_claim>> history;
    for (int i = 0; i < 6; ++i) {
        member& whose = i % 2 == 0 ? ann : bob;
        const bool lock = i % 3 != 0;
        history.push_back(whose.stand(fresh(), 1, lock ? lock_capacity : 2));
        ASSERT_EQ(history.back()->seen().granted, 1);
        whose.leave(history.back());
    }
    EXPECT_TRUE(strictly_rising(tokens_of(history)));
}

TEST_P(contract, removing_is_idempotent_and_touches_nobody_else) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto first = ann.stand(fresh());
    ann.leave(first);
    const auto second = bob.stand(fresh());
    ASSERT_EQ(second->seen().granted, 1);
    ann.leave(first);
    ann.leave(ann.make(fresh()));
    const auto third = ann.stand(fresh());
    EXPECT_EQ(third->seen().granted, 0) << "the removal of a claim long gone ended somebody else's hold";
}

TEST_P(contract, closing_a_session_ends_all_its_claims) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto held = ann.stand(fresh("a"));
    const auto also_held = ann.stand(fresh("b"));
    const auto other = bob.stand(fresh("c"));
    const auto waiting = ann.stand(fresh("c"));
    const auto next_a = bob.stand(fresh("a"));
    const auto next_c = bob.stand(fresh("c"));
    ann.session().close(ann.now() + 5s);
    ann.session().close(ann.now() + 5s);
    EXPECT_TRUE(bob.granted(next_a));
    EXPECT_EQ(bob.stand(fresh("b"))->seen().granted, 1);
    bob.leave(other);
    EXPECT_TRUE(bob.granted(next_c));
    EXPECT_EQ(waiting->seen().granted, 0);
}

TEST_P(contract, a_dead_holder_is_succeeded_when_its_lease_ends) {
    member dead(here(), here().short_ttl());
    member bob(here(), long_ttl);
    const auto held = dead.stand(fresh());
    ASSERT_EQ(held->seen().granted, 1);
    const instant granted_at = bob.now();
    const auto next = bob.stand(fresh());
    EXPECT_EQ(next->seen().granted, 0);
    ASSERT_TRUE(bob.granted(next, dead.session().opened().ttl + 10s));
    EXPECT_GE(bob.now() - granted_at, dead.session().opened().ttl / 2) << "the lease was not respected";
    EXPECT_GT(next->seen().token, held->seen().token);
    // The dead one comes back: it learns the truth, and does no harm.
    const auto renewed = dead.renew();
    if (dead.traits().lease_per_claim) {
        EXPECT_TRUE(dead.drive(*held, [](const auto& seen) { return seen.lost == 1; }));
    } else {
        ASSERT_FALSE(renewed);
        EXPECT_EQ(renewed.error().code(), errc::lost);
    }
    dead.leave(held);
    member cid(here(), long_ttl);
    EXPECT_EQ(cid.stand(fresh())->seen().granted, 0) << "a release after the loss ended the successor's hold";
}

TEST_P(contract, a_dead_waiter_does_not_hold_up_the_line) {
    member ann(here(), long_ttl);
    member dead(here(), here().short_ttl());
    member bob(here(), long_ttl);
    const auto held = ann.stand(fresh());
    const auto never = dead.stand(fresh());
    const auto behind = bob.stand(fresh());
    ann.leave(held);
    EXPECT_TRUE(bob.granted(behind, dead.session().opened().ttl + 10s));
}

TEST_P(contract, many_dead_waiters_cost_one_ttl_together) {
    member ann(here(), long_ttl);
    std::vector<std::unique_ptr<member>> dead;
    const auto held = ann.stand(fresh());
    for (int i = 0; i < 4; ++i) {
        dead.push_back(std::make_unique<member>(here(), here().short_ttl()));
        dead.back()->stand(fresh());
    }
    member bob(here(), long_ttl);
    const auto behind = bob.stand(fresh());
    ann.leave(held);
    const instant left = bob.now();
    const auto ttl = dead.back()->session().opened().ttl;
    ASSERT_TRUE(bob.granted(behind, 4 * ttl + 10s));
    EXPECT_LT(bob.now() - left, 2 * ttl + 3s) << "dead waiters' leases added up";
}

TEST_P(contract, renewal_keeps_a_hold_beyond_its_ttl) {
    member ann(here(), here().short_ttl());
    member bob(here(), long_ttl);
    const auto held = ann.stand(fresh());
    const auto next = bob.stand(fresh());
    const auto ttl = ann.session().opened().ttl;
    const instant until = ann.now() + 2 * ttl;
    while (ann.now() < until) {
        EXPECT_FALSE(ann.drive(
            *held, [](const auto& seen) { return seen.lost > 0; }, ttl / 8));
    }
    EXPECT_FALSE(bob.drive(
        *next, [](const auto& seen) { return seen.granted > 0; }, 1ms));
    ann.leave(held);
    EXPECT_TRUE(bob.granted(next));
}

TEST_P(contract, list_shows_the_line_in_order_and_who_stands_in_it) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const auto first = ann.stand(fresh(), 1, 2);
    const auto second = bob.stand(fresh(), 1, 2);
    const auto third = bob.stand(fresh(), 2, 2);
    const resource_status line = shown(ann, fresh());
    ASSERT_EQ(line.claims.size(), 3U);
    EXPECT_EQ(line.capacity, 2U);
    EXPECT_TRUE(line.claims[0].holds);
    EXPECT_TRUE(line.claims[1].holds);
    EXPECT_FALSE(line.claims[2].holds);
    EXPECT_EQ(line.claims[0].token, first->seen().token);
    EXPECT_EQ(line.claims[1].token, second->seen().token);
    EXPECT_EQ(line.claims[2].token, 0U);
    EXPECT_EQ(line.claims[2].weight, 2U);
    for (const auto& each : line.claims) {
        EXPECT_FALSE(each.foreign);
        EXPECT_FALSE(each.stale);
        ASSERT_TRUE(each.who);
        EXPECT_EQ(each.who->command, "contract");
        EXPECT_EQ(each.who->why, "suite");
        EXPECT_EQ(each.who->pid, getpid());
        ASSERT_TRUE(each.ttl_left);
        EXPECT_GT(*each.ttl_left, 1s);
        EXPECT_LE(*each.ttl_left, long_ttl + 1s);
    }
    ann.leave(first);
    bob.leave(second);
    ASSERT_TRUE(bob.granted(third));
    bob.leave(third);
    EXPECT_TRUE(shown(ann, fresh()).claims.empty());
}

TEST_P(contract, any_bytes_are_a_name_of_their_own) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    const std::string stem = fresh();
    std::vector<std::string> names{stem,
                                   stem + "/",
                                   stem + "/b",
                                   stem + "/b/c",
                                   stem + "//b",
                                   stem + "x",
                                   "/" + stem,
                                   stem + "/..",
                                   stem + "{a}b",
                                   stem + "{}b",
                                   stem + "{b",
                                   stem + "}b",
                                   stem + " b\nc",
                                   stem + std::string("\0b", 2),
                                   stem + "\xff\xfe",
                                   stem + "%2F",
                                   stem + ":line",
                                   stem + "*",
                                   "{" + stem + "}"};
    names.push_back(stem + std::string(resource_name::max_bytes - stem.size(), 'z'));
    std::vector<std::shared_ptr<recorded_claim>> held;
    for (const std::string& name : names) {
        held.push_back(ann.stand(name));
        ASSERT_EQ(held.back()->seen().granted, 1) << "another name blocks '" << name << "'";
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
        const auto tried = bob.stand(names[i], lock_capacity, lock_capacity, true);
        ASSERT_TRUE(tried->seen().refusal) << names[i];
        EXPECT_EQ(shown(bob, names[i]).claims.size(), 1U) << names[i];
        ann.leave(held[i]);
        const auto free = bob.stand(names[i], lock_capacity, lock_capacity, true);
        EXPECT_EQ(free->seen().granted, 1) << names[i];
        bob.leave(free);
    }
}

TEST_P(contract, a_long_line_drains_in_order) {
    member ann(here(), long_ttl);
    member bob(here(), long_ttl);
    constexpr std::size_t length = 100;
    std::vector<std::shared_ptr<recorded_claim>> line;
    for (std::size_t i = 0; i < length; ++i) {
        line.push_back((i % 2 == 0 ? ann : bob).stand(fresh()));
    }
    for (std::size_t i = 0; i < length; ++i) {
        member& whose = i % 2 == 0 ? ann : bob;
        ASSERT_TRUE(whose.granted(line[i])) << "place " << i;
        whose.leave(line[i]);
    }
    EXPECT_TRUE(strictly_rising(tokens_of(line)));
}

TEST_P(contract, a_store_that_grants_says_what_it_granted) {
    member ann(here(), 7s);
    const renewal opened = ann.session().opened();
    EXPECT_GE(opened.ttl, 7s);
    EXPECT_LE(opened.sent_at, ann.now());
    EXPECT_GT(opened.sent_at, ann.now() - 10s);
    const auto renewed = ann.session().renew(ann.now() + 5s);
    ASSERT_TRUE(renewed) << renewed.error().message();
    EXPECT_GE(renewed->ttl, 7s);
    EXPECT_LE(renewed->sent_at, ann.now());
}

INSTANTIATE_TEST_SUITE_P(every, contract, ::testing::ValuesIn(all_worlds()), world_name);

} // namespace
} // namespace holdfast::testing
