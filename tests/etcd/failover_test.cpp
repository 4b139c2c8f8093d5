// Servers that are away, stopped or late: what is certain is said, and what is not is said to be unknown.
#include "etcd/one_server.hpp"

#include <csignal>
#include <fstream>
#include <iterator>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/holdfast.hpp>

#include "support/ports.hpp"
#include "support/sanitizers.hpp"

namespace holdfast::etcd::testing {
namespace {

std::shared_ptr<recorded_claim> claim_of(const std::string& name, std::uint64_t number) {
    claim what{.name = resource_name::make(name).value(), .id = {}};
    what.id.number = number;
    return std::make_shared<recorded_claim>(what);
}

/// A session on a store whose calls give up too soon for a busy machine: tried until it is there.
std::shared_ptr<store_session> opened(store& in_store) {
    std::shared_ptr<store_session> session;
    EXPECT_TRUE(wait_for(
        [&] {
            const auto tried = in_store.open({.id = {}, .ttl = 60s, .who = {}}, in(5s));
            session = tried ? *tried : nullptr;
            return session != nullptr;
        },
        20s));
    return session;
}

// The signal is not instant: until it has arrived the server still answers.
void stop_now(etcd_server& server) {
    server.signal(SIGSTOP);
    ASSERT_TRUE(wait_for(
        [&] {
            std::ifstream stat("/proc/" + std::to_string(server.pid()) + "/stat");
            const std::string text((std::istreambuf_iterator<char>(stat)), {});
            return text.find(") T ") != std::string::npos;
        },
        5s));
}

TEST(etcd_failover, a_server_that_is_not_there_is_named_and_nothing_was_done) {
    const std::string address = "127.0.0.1:" + std::to_string(holdfast::testing::free_port());
    const auto engine = make_store("etcd://ann:secret@" + address, 2s);
    const auto checked = engine->check(in(2s));
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code(), errc::unavailable);
    EXPECT_NE(checked.error().message().find(address), std::string::npos);
    EXPECT_EQ(checked.error().message().find("secret"), std::string::npos);
}

TEST(etcd_failover, a_store_that_never_connected_ends_at_once) {
    const auto start = now(clock_source::boottime);
    { const auto engine = make_store("etcd://127.0.0.1:1", 2s); }
    EXPECT_LT(now(clock_source::boottime) - start, 1s);
}

TEST(etcd_failover, the_next_endpoint_is_taken_when_one_is_away) {
    etcd_server server;
    server_world world("etcd://127.0.0.1:" + std::to_string(holdfast::testing::free_port()) + "," +
                       server.endpoint());
    member ann(world, 10s);
    member bob(world, 10s);
    const auto first = ann.stand("jobs");
    const auto second = bob.stand("jobs");
    EXPECT_EQ(first->seen().granted, 1);
    ann.leave(first);
    EXPECT_TRUE(bob.granted(second));
    EXPECT_TRUE(bob.renew());
}

TEST(etcd_failover, calls_to_a_server_that_went_away_are_unavailable_and_it_is_used_again_when_it_is_back) {
    etcd_server server;
    server_world world(server.url(), 1s);
    member ann(world, 60s);
    server.kill();
    const auto claim = ann.make("jobs");
    ann.session().append(claim, false);
    ASSERT_TRUE(wait_for([&] { return claim->seen().refusal.has_value(); }, 10s));
    // The very first call may have gone into the connection that was closing: of that claim a doubt stays. Of
    // one that comes later it is certain.
    const auto later = ann.make("later");
    ann.session().append(later, false);
    ASSERT_TRUE(wait_for([&] { return later->seen().refusal.has_value(); }, 10s));
    EXPECT_EQ(later->seen().refusal->code(), errc::unavailable) << later->seen().refusal->message();
    EXPECT_FALSE(ann.session().renew(in(500ms)));
    server.start();
    ASSERT_TRUE(wait_for([&] { return ann.session().renew(in(1s)).has_value(); }, 20s));
    ASSERT_TRUE(wait_for(
        [&] {
            ann.session().append(claim, false);
            return wait_for([&] { return claim->seen().granted == 1; }, 1s);
        },
        20s));
}

#if !defined(HOLDFAST_ALLOCATOR_IS_NOT_FOR_FORKS)
// gRPC does not survive a fork: without this answer the child would hang for ever.
TEST(etcd_failover, a_child_of_a_process_that_used_etcd_is_told_at_once_that_it_cannot) {
    etcd_server server;
    const auto locks = holdfast::connect(server.url());
    ASSERT_TRUE(locks.mutex("jobs").try_acquire());
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        alarm(20); // A connect() that hangs ends here.
        const auto anew = try_connect(server.url());
        const bool told = !anew && anew.error().code() == errc::misuse &&
                          anew.error().message().find("fork") != std::string::npos;
        _exit(told ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_TRUE(locks.mutex("jobs").try_acquire()) << "nothing changes for the parent";
}
#endif

// As a full disk is met before it is full: etcd takes nothing more, but what makes room.
TEST(etcd_failover, a_full_database_grants_nothing_keeps_who_holds_and_lets_go) {
    etcd_server server({"--quota-backend-bytes", "2097152"});
    server_world world(server.url());
    member ann(world, 30s);
    member bob(world, 30s);
    const auto held = ann.stand("jobs");
    ASSERT_EQ(held->seen().granted, 1);
    holdfast::testing::process_options filling;
    filling.env = {{"ETCDCTL_API", "3"}};
    filling.input = std::string(900'000, 'x');
    bool full = false;
    for (int i = 0; i < 20 && !full; ++i) {
        const auto put = holdfast::testing::run_process(
            {"etcdctl", "--endpoints", server.endpoint(), "put", "filler"}, 20s, filling);
        full = put.err.find("database space exceeded") != std::string::npos;
    }
    ASSERT_TRUE(full);
    const auto refused = bob.stand("others");
    ASSERT_TRUE(refused->seen().refusal);
    EXPECT_EQ(refused->seen().refusal->code(), errc::unavailable);
    EXPECT_NE(refused->seen().refusal->message().find("its database is full"), std::string::npos);
    EXPECT_TRUE(ann.renew());
    EXPECT_EQ(held->seen().lost, 0);
    ann.leave(held);
    EXPECT_TRUE(keys_below(server, "jobs/").empty());
}

TEST(etcd_failover, an_append_without_an_answer_is_unknown_and_leaves_nothing_after_its_removal) {
    etcd_server server;
    server_world world(server.url(), 500ms);
    auto engine = world.connect();
    const auto session = opened(*engine);
    // Connected, so that the request is on its way when the server stops.
    const auto warm = claim_of("warm", 1);
    session->append(warm, false);
    ASSERT_TRUE(wait_for([&] { return warm->seen().granted == 1; }, 5s));
    stop_now(server);
    const auto claim = claim_of("jobs", 2);
    session->append(claim, false);
    ASSERT_TRUE(wait_for([&] { return claim->seen().refusal.has_value(); }, 10s));
    EXPECT_EQ(claim->seen().refusal->code(), errc::unknown_outcome);
    session->remove(claim);
    ASSERT_TRUE(wait_for([&] { return claim->seen().removal_failed == 1; }, 10s));
    EXPECT_FALSE(session->renew(in(300ms)));
    server.signal(SIGCONT);
    ASSERT_TRUE(wait_for([&] { return session->renew(in(1s)).has_value(); }, 20s));
    ASSERT_TRUE(wait_for(
        [&] {
            session->remove(claim);
            return wait_for([&] { return claim->seen().removed == 1; }, 1s);
        },
        20s));
    ASSERT_TRUE(session->renew(in(5s))); // Sweeps.
    EXPECT_TRUE(wait_for([&] { return keys_below(server, "jobs/").empty(); }, 5s));
}

TEST(etcd_failover, an_append_repeated_after_an_unknown_outcome_finds_its_claim) {
    etcd_server server;
    server_world world(server.url(), 500ms);
    auto engine = world.connect();
    const auto session = opened(*engine);
    const auto claim = claim_of("jobs", 2);
    stop_now(server);
    session->append(claim, false);
    ASSERT_TRUE(wait_for([&] { return claim->seen().refusal.has_value(); }, 10s));
    server.signal(SIGCONT);
    ASSERT_TRUE(wait_for(
        [&] {
            session->append(claim, false);
            return wait_for([&] { return claim->seen().granted == 1; }, 1s);
        },
        20s));
    EXPECT_EQ(keys_below(server, "jobs/").size(), 1U);
    session->append(claim, false);
    ASSERT_TRUE(wait_for([&] { return claim->seen().granted == 2; }, 5s))
        << "and says so again when asked again";
    EXPECT_EQ(keys_below(server, "jobs/").size(), 1U);
    session->close(in(5s));
}

} // namespace
} // namespace holdfast::etcd::testing
