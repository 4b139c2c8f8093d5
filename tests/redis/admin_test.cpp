// What administrators see and do on a real server, beyond the contract that every store keeps.
#include "fixture.hpp"

#include <future>

#include "core/factory.hpp"

namespace holdfast::testing {
namespace {

class admin_on_redis : public on_redis {
  protected:
    static std::unique_ptr<store> open(const std::string& url) {
        auto made = core::make_store({.url = core::parse_url(url).value(),
                                      .op_timeout = 5s,
                                      .ttl = 10s,
                                      .ca_file = {},
                                      .cert_file = {},
                                      .key_file = {}});
        return std::move(made).value();
    }
    static instant soon() { return now(clock_source::boottime) + 5s; }
    static resource_name named(const std::string& name) { return resource_name::make(name).value(); }

    resource_status show(const std::string& name) { return store_->show(named(name), soon()).value(); }

    static const finding* find(const std::vector<finding>& in, std::string_view what) {
        for (const finding& each : in) {
            if (each.what == what) {
                return &each;
            }
        }
        return nullptr;
    }
    static void expect_found(const std::vector<finding>& in, std::string_view what, finding::severity how,
                             const std::string& part) {
        const finding* const found = find(in, what);
        ASSERT_NE(found, nullptr) << what;
        EXPECT_EQ(found->how, how) << found->seen;
        EXPECT_THAT(found->seen, ::testing::HasSubstr(part));
        EXPECT_EQ(found->remedy.empty(), how == finding::severity::fine) << what;
    }

    std::unique_ptr<store> store_ = open(server().url());
};

// The holder is told by message, or at its next renewal; a release may come before either.
TEST_F(admin_on_redis, a_release_says_that_the_hold_had_been_taken_away) {
    auto locks = connect();
    for (const auto& take : {+[](holdfast::locks& in) { return in.mutex("a").acquire().value(); },
                             +[](holdfast::locks& in) { return in.semaphore("b", 3).acquire(2).value(); }}) {
        auto mine = take(locks);
        raw_({"DEL", "a"});
        EXPECT_LE(store_->break_holds(named("b"), std::nullopt, soon()).value(), 1U);
        const auto released = mine.release();
        ASSERT_FALSE(released);
        EXPECT_EQ(released.error().code(), errc::lost);
        EXPECT_FALSE(released.error().ends_in()) << "nothing of it is left";
    }
    EXPECT_TRUE(locks.mutex("a").acquire().value().release()) << "a release of what is held is one";
    EXPECT_TRUE(locks.semaphore("b", 3).acquire(3).value().release());
}

TEST_F(admin_on_redis, a_foreign_hold_is_shown_and_broken_for_a_waiter_of_ours) {
    raw_({"SET", "a", "somebody's secret value", "PX", "60000"});
    resource_status line = show("a");
    ASSERT_EQ(line.claims.size(), 1U);
    EXPECT_TRUE(line.claims[0].foreign);
    EXPECT_THAT(line.claims[0].id, ::testing::Not(::testing::HasSubstr("value")))
        << "it is a proof of ownership";
    auto locks = connect();
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("a").acquire(); });
    ASSERT_TRUE(somebody_waits("a"));
    EXPECT_EQ(store_->break_holds(named("a"), token(7), soon()).value(), 0U) << "a foreign hold has no token";
    EXPECT_EQ(store_->break_holds(named("a"), std::nullopt, soon()).value(), 1U);
    ASSERT_EQ(waiter.wait_for(2s), std::future_status::ready);
    EXPECT_TRUE(waiter.get());
}

TEST_F(admin_on_redis, a_redisson_hash_is_named_and_can_be_broken) {
    raw_({"HSET", "a", "8743c9c0-0795-4907-87fd-6c719a6b4586:1", "1"});
    EXPECT_THAT(show("a").claims.at(0).id, ::testing::HasSubstr("Redisson"));
    EXPECT_EQ(store_->break_holds(named("a"), std::nullopt, soon()).value(), 1U);
    EXPECT_TRUE(show("a").claims.empty());
}

TEST_F(admin_on_redis, data_that_is_no_lock_is_never_broken) {
    raw_({"RPUSH", "a", "data"});
    const auto outcome = store_->break_holds(named("a"), std::nullopt, soon());
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code(), errc::misuse);
    EXPECT_EQ(raw_.number({"EXISTS", "a"}), 1);
    auto locks = connect();
    auto held = locks.mutex("b").acquire();
    for (const auto& key : raw_({"KEYS", "holdfast:*"}).items) {
        EXPECT_EQ(store_->break_holds(named(key.text), std::nullopt, soon()).error().code(), errc::misuse);
        EXPECT_EQ(store_->resize(named(key.text), 2, soon()).error().code(), errc::misuse);
    }
    EXPECT_TRUE(held->release());
}

// Its session has never waited, and so hears no messages.
TEST_F(admin_on_redis, a_holder_without_a_subscription_learns_by_its_renewal_that_it_was_broken) {
    auto locks = connect({.ttl = 1s});
    auto held = locks.mutex("a").acquire();
    ASSERT_TRUE(held);
    EXPECT_EQ(store_->break_holds(named("a"), std::nullopt, soon()).value(), 1U);
    ASSERT_TRUE(wait_for([&] { return held->is_lost(); }, 3s));
    EXPECT_EQ(held->reason(), loss_reason::broken);
    EXPECT_FALSE(held->release());
}

TEST_F(admin_on_redis, a_waiter_of_a_resized_line_leaves_it) {
    auto locks = connect();
    auto held = locks.semaphore("a", 2).acquire(2);
    auto waiter =
        std::async(std::launch::async, [&] { return locks.semaphore("a", 2).try_acquire_for(2, 500ms); });
    ASSERT_TRUE(somebody_waits("a"));
    EXPECT_TRUE(store_->resize(named("a"), 3, soon()));
    EXPECT_EQ(code_of(waiter.get()), errc::timed_out);
    EXPECT_EQ(raw_.number({"LLEN", "holdfast:{a}:a:l"}), 0);
}

TEST_F(admin_on_redis, a_proposal_goes_with_its_claim) {
    auto locks = connect();
    auto held = locks.mutex("a").acquire();
    for (const auto& key : raw_({"KEYS", "*:p"}).items) {
        ADD_FAILURE() << key.text << ": a lock that proposes nothing";
    }
    EXPECT_TRUE(held->release());
}

TEST_F(admin_on_redis, a_server_that_loses_locks_is_diagnosed) {
    const auto findings = store_->diagnose(10s, soon());
    using how = finding::severity;
    expect_found(findings, "reachability", how::fine, "127.0.0.1");
    expect_found(findings, "round trip", how::fine, "ms");
    expect_found(findings, "clock", how::fine, "clock");
    expect_found(findings, "version", how::fine, "Redis ");
    expect_found(findings, "eviction", how::fine, "noeviction");
    expect_found(findings, "persistence", how::warning, "appendonly");
    expect_found(findings, "replicas", how::fine, "none");
    expect_found(findings, "rights", how::fine, "allowed");
    expect_found(findings, "level", how::warning, "efficiency");
    EXPECT_EQ(raw_.keys(), 0) << "the examination left something behind";

    raw_({"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"});
    expect_found(store_->diagnose(10s, soon()), "eviction", how::error, "allkeys-lru");
    raw_({"CONFIG", "SET", "maxmemory-policy", "noeviction"});
}

TEST_F(admin_on_redis, a_server_that_forgets_nothing_is_diagnosed_as_fenced) {
    redis_server own({"--appendonly", "yes", "--appendfsync", "always"});
    const auto store = open(own.url());
    const auto findings = store->diagnose(10s, soon());
    expect_found(findings, "persistence", finding::severity::fine, "disk");
    expect_found(findings, "level", finding::severity::fine, "fenced");
}

TEST_F(admin_on_redis, an_unreachable_server_is_a_finding) {
    const auto findings = open("redis://127.0.0.1:1")->diagnose(10s, soon());
    ASSERT_EQ(findings.size(), 1U);
    expect_found(findings, "reachability", finding::severity::error, "127.0.0.1:1");
}

TEST_F(admin_on_redis, rights_that_are_missing_are_named) {
    raw_({"ACL", "SETUSER", "poor", "on", ">pw", "~*", "&*", "+@all", "-zadd", "-publish"});
    const auto store = open("redis://poor:pw@127.0.0.1:" + std::to_string(server().port()));
    const auto findings = store->diagnose(10s, soon());
    expect_found(findings, "rights", finding::severity::error, "ZADD");
    expect_found(findings, "rights", finding::severity::error, "PUBLISH");
    raw_({"ACL", "DELUSER", "poor"});
}

TEST_F(admin_on_redis, a_lock_of_another_dialect_in_our_way_is_diagnosed) {
    raw_({"HSET", "a", "8743c9c0-0795-4907-87fd-6c719a6b4586:1", "1"});
    auto locks = connect();
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("a").acquire(); });
    ASSERT_TRUE(somebody_waits("a"));
    const auto findings = store_->diagnose(10s, soon());
    expect_found(findings, "dialect", finding::severity::warning, "Redisson");
    expect_found(findings, "gate without TTL", finding::severity::warning, "'a'");
    raw_({"DEL", "a"});
    EXPECT_TRUE(waiter.get());
}

} // namespace
} // namespace holdfast::testing
