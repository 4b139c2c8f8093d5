// What stands in etcd while claims come and go.
#include "etcd/one_server.hpp"

#include <atomic>
#include <set>

#include "etcd/keys.hpp"

namespace holdfast::etcd::testing {
namespace {

class etcd_claims : public one_server {};

TEST_F(etcd_claims, a_claim_is_one_key_below_its_name_under_the_lease) {
    member ann(here(), 10s);
    const auto held = ann.stand(fresh());
    const auto keys = keys_below(server(), fresh() + "/");
    ASSERT_EQ(keys.size(), 1U);
    const auto claim = parse_claim(std::string_view(keys[0]).substr(fresh().size() + 1));
    ASSERT_TRUE(claim);
    EXPECT_EQ(claim->id, held->claim().id);
    ann.leave(held);
    EXPECT_TRUE(keys_below(server(), fresh() + "/").empty());
}

// etcd walks over every key that ever was below a name until its history is compacted: with a new key for
// each claim, a lock would become slower with each use.
TEST_F(etcd_claims, a_name_that_is_locked_again_and_again_uses_its_keys_again) {
    member ann(here(), 10s);
    std::set<std::string> keys;
    std::uint64_t last_token = 0;
    for (int turn = 0; turn < 20; ++turn) {
        const auto held = ann.stand(fresh());
        ASSERT_EQ(held->seen().granted, 1);
        ASSERT_GT(held->seen().token, last_token);
        last_token = held->seen().token;
        for (const std::string& key : keys_below(server(), fresh() + "/")) {
            keys.insert(key);
        }
        ann.leave(held);
    }
    // A claim's key comes back when its last owner lets go, which may be the watcher's thread.
    EXPECT_LE(keys.size(), 3U);
}

// Whoever deleted it may have asked twice.
TEST_F(etcd_claims, a_key_that_ended_otherwise_than_by_its_release_is_not_used_again) {
    member ann(here(), 10s);
    std::string first;
    {
        const auto held = ann.stand(fresh());
        first = keys_below(server(), fresh() + "/").at(0);
        etcdctl(server(), {"del", first});
        ann.leave(held);
    }
    for (int turn = 0; turn < 4; ++turn) {
        const auto held = ann.stand(fresh());
        EXPECT_NE(keys_below(server(), fresh() + "/").at(0), first);
        ann.leave(held);
    }
}

TEST_F(etcd_claims, a_namespace_stands_before_every_key) {
    server_world team(server().url() + "/team/one");
    member ann(team, 10s);
    member bob(here(), 10s);
    const auto held = ann.stand(fresh());
    EXPECT_EQ(keys_below(server(), "team/one/" + fresh() + "/").size(), 1U);
    EXPECT_EQ(bob.stand(fresh())->seen().granted, 1) << "outside of the namespace it is another lock";
    const auto shown = ann.engine().list(ann.now() + 5s).value();
    ASSERT_EQ(shown.size(), 1U);
    EXPECT_EQ(shown[0].name, fresh());
}

TEST_F(etcd_claims, trying_writes_nothing_when_the_name_is_taken) {
    member ann(here(), 10s);
    member bob(here(), 10s);
    const auto held = ann.stand(fresh());
    const std::string before = etcdctl(server(), {"get", "nothing", "-w", "fields"});
    const auto tried = bob.stand(fresh(), lock_capacity, lock_capacity, true);
    ASSERT_TRUE(tried->seen().refusal);
    EXPECT_EQ(tried->seen().refusal->code(), errc::busy);
    const auto revision = [](const std::string& fields) {
        const auto at = fields.find("\"Revision\"");
        return fields.substr(at, fields.find('\n', at) - at);
    };
    EXPECT_EQ(revision(etcdctl(server(), {"get", "nothing", "-w", "fields"})), revision(before))
        << "not even a key that was deleted again";
}

TEST_F(etcd_claims, trying_succeeds_beside_deeper_names_and_free_permits) {
    member ann(here(), 10s);
    const std::string name = fresh();
    const auto deep = ann.stand(name + "/below");
    const auto tried = ann.stand(name, lock_capacity, lock_capacity, true);
    EXPECT_EQ(tried->seen().granted, 1);
    const auto permit = ann.stand(fresh("permits"), 1, 3);
    const auto second = ann.stand(fresh("permits"), 2, 3, true);
    EXPECT_EQ(second->seen().granted, 1);
    EXPECT_TRUE(ann.stand(fresh("permits"), 1, 3, true)->seen().refusal);
}

TEST_F(etcd_claims, lines_longer_than_one_reply_are_judged_whole) {
    member ann(here(), 30s);
    const std::string name = fresh();
    constexpr std::uint32_t permits = 150;
    std::vector<std::shared_ptr<recorded_claim>> held;
    for (std::uint32_t i = 0; i + 1 < permits; ++i) {
        held.push_back(ann.stand(name, 1, permits, i % 2 == 0));
        ASSERT_EQ(held.back()->seen().granted, 1) << i;
    }
    EXPECT_EQ(ann.stand(name, 2, permits, true)->seen().refusal->code(), errc::busy);
    EXPECT_EQ(ann.stand(name, 1, permits, true)->seen().granted, 1);
    const auto waiter = ann.stand(name, 1, permits);
    EXPECT_EQ(waiter->seen().waiting, 1);
    ann.leave(held[70]);
    EXPECT_TRUE(ann.granted(waiter));
    ann.session().close(ann.now() + 5s);
    EXPECT_TRUE(keys_below(server(), name + "/").empty());
}

TEST_F(etcd_claims, many_names_below_a_name_do_not_block_it) {
    const std::string name = fresh();
    for (int i = 0; i < 80; ++i) {
        etcdctl(server(), {"put", name + "/below" + std::to_string(i) + "/x", ""});
    }
    member ann(here(), 10s);
    member bob(here(), 10s);
    const auto tried = ann.stand(name, lock_capacity, lock_capacity, true);
    EXPECT_EQ(tried->seen().granted, 1);
    const auto waiter = bob.stand(name);
    EXPECT_EQ(waiter->seen().waiting, 1);
    EXPECT_TRUE(bob.stand(name, 1, 5)->seen().refusal) << "the head is found behind the deeper names";
    ann.leave(tried);
    EXPECT_TRUE(bob.granted(waiter));
}

TEST_F(etcd_claims, a_key_that_somebody_put_in_place_of_ours_is_left_alone) {
    member ann(here(), 10s);
    const auto held = ann.stand(fresh());
    const auto keys = keys_below(server(), fresh() + "/");
    ASSERT_EQ(keys.size(), 1U);
    etcdctl(server(), {"del", keys[0]});
    etcdctl(server(), {"put", keys[0], "mine now"});
    ann.leave(held);
    EXPECT_EQ(held->seen().removed, 1);
    EXPECT_EQ(keys_below(server(), fresh() + "/"), keys);
    etcdctl(server(), {"del", keys[0]}); // For who repeats the test.
}

TEST_F(etcd_claims, a_removal_does_not_overtake_its_append) {
    member ann(here(), 10s);
    for (int i = 0; i < 50; ++i) {
        const auto claim = ann.make(fresh());
        ann.session().append(claim, i % 2 == 0);
        ann.session().remove(claim);
        ASSERT_TRUE(wait_for([&] { return claim->seen().removed == 1; }, 10s));
    }
    EXPECT_TRUE(keys_below(server(), fresh() + "/").empty());
}

TEST_F(etcd_claims, a_store_goes_away_with_calls_under_way) {
    for (int i = 0; i < 20; ++i) {
        auto engine = here().connect();
        session_request request{.id = {}, .ttl = 10s, .who = {}};
        auto session = engine->open(request, now(clock_source::boottime) + 5s).value();
        claim what{.name = resource_name::make(fresh()).value(), .id = {}};
        what.id.number = 1;
        const auto claim = std::make_shared<recorded_claim>(what);
        session->append(claim, false);
        if (i % 2 == 0) {
            session->close(now(clock_source::boottime) + 5s);
        }
        engine.reset();
        session.reset();
    }
}

TEST_F(etcd_claims, a_session_that_was_revoked_says_lost_and_takes_no_claim) {
    member ann(here(), 10s);
    const auto held = ann.stand(fresh());
    const auto keys = keys_below(server(), fresh() + "/");
    ASSERT_EQ(keys.size(), 1U);
    etcdctl(server(), {"lease", "revoke",
                       lease_hex(parse_claim(std::string_view(keys[0]).substr(fresh().size() + 1))->lease)});
    const auto renewed = ann.session().renew(ann.now() + 5s);
    ASSERT_FALSE(renewed);
    EXPECT_EQ(renewed.error().code(), errc::lost);
    const auto late = ann.make(fresh());
    ann.session().append(late, false);
    ASSERT_TRUE(wait_for([&] { return late->seen().refusal.has_value(); }, 10s));
    EXPECT_EQ(late->seen().refusal->code(), errc::lost);
}

TEST_F(etcd_claims, the_granted_ttl_is_the_servers) {
    auto engine = here().connect();
    session_request request{.id = {}, .ttl = 1s, .who = {}};
    const auto session = engine->open(request, now(clock_source::boottime) + 5s).value();
    EXPECT_EQ(session->opened().ttl, 2s) << "this server raises small ones";
    const auto renewed = session->renew(now(clock_source::boottime) + 5s);
    ASSERT_TRUE(renewed);
    EXPECT_EQ(renewed->ttl, 2s);
    session->close(now(clock_source::boottime) + 5s);
}

} // namespace
} // namespace holdfast::etcd::testing
