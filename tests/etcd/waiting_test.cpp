// Waiting in a line: hand-over without a further read, and everything that may happen to a watch or a waiter.
#include "etcd/one_server.hpp"

#include <algorithm>

#include "etcd/keys.hpp"

namespace holdfast::etcd::testing {
namespace {

class etcd_waiting : public one_server {
  protected:
    static double count(const std::string& method) {
        return metric(server(), "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"" + method + "\"");
    }
    std::string lease_of(const std::string& key, const std::string& name) const {
        return lease_hex(parse_claim(std::string_view(key).substr(name.size() + 1))->lease);
    }
};

using nanoseconds = std::chrono::nanoseconds;

nanoseconds median(std::vector<nanoseconds> values) {
    std::ranges::sort(values);
    return values.at(values.size() / 2);
}

// The classic recipe's watch starts at a revision that has passed, and the server looks at such watchers
// every 100 ms only. Ours is compared with two plain transactions in the same run, of which one hand-over
// consists.
TEST_F(etcd_waiting, a_hand_over_costs_no_read_and_no_100_ms_step) {
    member ann(here(), 30s);
    member bob(here(), 30s);
    std::vector<nanoseconds> bare;
    std::vector<nanoseconds> handed;
    for (int i = 0; i < 20; ++i) {
        const instant start = ann.now();
        ann.leave(ann.stand(fresh("free")));
        bare.push_back(ann.now() - start);
    }
    auto holder = ann.stand(fresh());
    double reads = 0;
    for (int i = 0; i < 30; ++i) {
        member& next = i % 2 == 0 ? bob : ann;
        member& last = i % 2 == 0 ? ann : bob;
        const auto waiter = next.stand(fresh());
        ASSERT_EQ(waiter->seen().waiting, 1);
        if (i == 9) {
            reads = count("Range");
        }
        const instant start = ann.now();
        last.session().remove(holder);
        ASSERT_TRUE(next.granted(waiter));
        handed.push_back(ann.now() - start);
        ASSERT_TRUE(wait_for([&] { return holder->seen().removed == 1; }, 5s));
        holder = waiter;
    }
    EXPECT_EQ(count("Range"), reads) << "once both follow the name, nothing is read";
    EXPECT_LT(median(handed).count(), 10 * median(bare).count());
}

// The same for names that nobody has waited for yet: the watch is opened, and the line read, in the middle.
TEST_F(etcd_waiting, the_first_wait_for_a_name_has_no_100_ms_step) {
    member ann(here(), 30s);
    member bob(here(), 30s);
    std::vector<nanoseconds> bare;
    std::vector<nanoseconds> handed;
    for (int i = 0; i < 15; ++i) {
        const std::string name = fresh(std::to_string(i));
        instant start = ann.now();
        const auto holder = ann.stand(name);
        ann.leave(ann.stand(fresh("free") + std::to_string(i)));
        bare.push_back(ann.now() - start);
        start = ann.now();
        const auto waiter = bob.stand(name);
        ann.session().remove(holder);
        ASSERT_TRUE(bob.granted(waiter));
        handed.push_back(ann.now() - start);
    }
    EXPECT_LT(median(handed).count(), 10 * median(bare).count());
}

TEST_F(etcd_waiting, a_name_is_watched_once_and_not_for_ever) {
    const auto watchers = [] { return metric(server(), "etcd_debugging_mvcc_watcher_total"); };
    ASSERT_TRUE(wait_for([&] { return watchers() == 0; }, 10s)) << "others still watch";
    member ann(here(), 10s);
    member bob(here(), 10s);
    const auto first = ann.stand(fresh());
    ASSERT_TRUE(wait_for([&] { return watchers() == 1; }, 5s)) << "a hold that lasts: its own key";
    const auto second = bob.stand(fresh());
    ASSERT_TRUE(wait_for([&] { return watchers() == 2; }, 5s)) << "a waiter: the line";
    const auto third = bob.stand(fresh());
    EXPECT_EQ(watchers(), 2) << "another waiter: the same watch";
    bob.leave(third);
    bob.leave(second);
    ann.leave(first);
    EXPECT_TRUE(wait_for([&] { return watchers() == 0; }, 10s));
}

TEST_F(etcd_waiting, a_waiter_whose_lease_is_revoked_is_told_and_never_holds) {
    member ann(here(), 10s);
    member bob(here(), 10s);
    const auto first = ann.stand(fresh());
    const auto keys = keys_below(server(), fresh() + "/");
    const auto second = bob.stand(fresh());
    for (const std::string& key : keys_below(server(), fresh() + "/")) {
        if (key != keys.at(0)) {
            etcdctl(server(), {"lease", "revoke", lease_of(key, fresh())});
        }
    }
    ASSERT_TRUE(wait_for([&] { return second->seen().lost == 1; }, 5s));
    ann.leave(first);
    EXPECT_EQ(second->seen().granted, 0);
    EXPECT_EQ(second->seen().reason, loss_reason::revoked);
}

TEST_F(etcd_waiting, a_holder_that_had_waited_is_told_when_its_key_is_deleted) {
    member ann(here(), 10s);
    member bob(here(), 10s);
    const auto first = ann.stand(fresh());
    const auto second = bob.stand(fresh());
    ann.leave(first);
    ASSERT_TRUE(bob.granted(second));
    etcdctl(server(), {"del", "--prefix", fresh() + "/"});
    ASSERT_TRUE(wait_for([&] { return second->seen().lost == 1; }, 5s));
    bob.leave(second);
    EXPECT_EQ(second->seen().removed, 1);
}

TEST_F(etcd_waiting, a_holder_that_never_waited_is_told_when_its_key_is_deleted) {
    member ann(here(), 60s);
    const auto held = ann.stand(fresh());
    etcdctl(server(), {"del", "--prefix", fresh() + "/"});
    ASSERT_TRUE(wait_for([&] { return held->seen().lost == 1; }, 5s))
        << "also when it happened before anybody watched";
    EXPECT_EQ(held->seen().reason, loss_reason::revoked);
    const auto again = ann.stand(fresh("again"));
    const auto other = ann.stand(fresh("other"));
    ASSERT_TRUE(wait_for([&] { return metric(server(), "etcd_debugging_mvcc_watcher_total") >= 2; }, 5s));
    etcdctl(server(), {"del", "--prefix", fresh("again") + "/"});
    ASSERT_TRUE(wait_for([&] { return again->seen().lost == 1; }, 5s));
    EXPECT_EQ(other->seen().lost, 0);
}

// The watch of the hold before is still open then, and stays for a second.
TEST_F(etcd_waiting, a_holder_whose_key_was_used_before_is_told_when_it_is_deleted) {
    member ann(here(), 60s);
    const double watches = metric(server(), "etcd_debugging_mvcc_watcher_total");
    for (int turn = 0; turn < 2; ++turn) {
        const auto held = ann.stand(fresh());
        ASSERT_EQ(held->seen().granted, 1);
        ASSERT_TRUE(
            wait_for([&] { return metric(server(), "etcd_debugging_mvcc_watcher_total") > watches; }, 5s));
        ann.leave(held);
    }
    const auto held = ann.stand(fresh());
    ASSERT_FALSE(wait_for([&] { return held->seen().lost != 0; }, 1500ms)) << "that end was another's";
    etcdctl(server(), {"del", "--prefix", fresh() + "/"});
    ASSERT_TRUE(wait_for([&] { return held->seen().lost == 1; }, 2s));
    EXPECT_EQ(held->seen().reason, loss_reason::revoked);
}

TEST_F(etcd_waiting, a_holder_whose_lease_is_revoked_is_told_before_its_next_renewal) {
    member ann(here(), 60s);
    const auto held = ann.stand(fresh());
    etcdctl(server(), {"lease", "revoke", lease_of(keys_below(server(), fresh() + "/").at(0), fresh())});
    EXPECT_TRUE(wait_for([&] { return held->seen().lost == 1; }, 5s));
}

TEST_F(etcd_waiting, a_holder_whose_lease_is_revoked_is_succeeded) {
    member ann(here(), 30s);
    member bob(here(), 30s);
    const auto first = ann.stand(fresh());
    const auto keys = keys_below(server(), fresh() + "/");
    const auto second = bob.stand(fresh());
    etcdctl(server(), {"lease", "revoke", lease_of(keys.at(0), fresh())});
    ASSERT_TRUE(bob.granted(second));
    EXPECT_GT(second->seen().token, first->seen().token);
}

TEST_F(etcd_waiting, many_waiters_of_one_process_are_served_in_order_by_one_watch) {
    member ann(here(), 30s);
    member bob(here(), 30s);
    const auto first = ann.stand(fresh());
    std::vector<std::shared_ptr<recorded_claim>> line;
    for (int i = 0; i < 300; ++i) {
        line.push_back(bob.stand(fresh()));
        ASSERT_EQ(line.back()->seen().waiting, 1);
    }
    ann.leave(first);
    ASSERT_TRUE(bob.granted(line[0]));
    for (std::size_t i = 0; i + 1 < line.size(); ++i) {
        ASSERT_EQ(line[i + 1]->seen().granted, 0);
        bob.session().remove(line[i]);
        ASSERT_TRUE(wait_for([&] { return line[i + 1]->seen().granted == 1; }, 5s)) << i;
    }
}

// A server of its own: it is stopped, restarted and compacted.
TEST(etcd_waiting_alone, a_waiter_survives_a_restart_and_a_compaction) {
    etcd_server server;
    server_world world(server.url());
    member ann(world, 60s);
    member bob(world, 60s);
    const auto first = ann.stand("jobs");
    const auto second = bob.stand("jobs");
    const auto third = bob.stand("jobs");
    server.kill();
    server.start();
    // The one that leaves while nobody watches, and a history that is thrown away before anybody looks.
    compact(server);
    ASSERT_TRUE(wait_for(
        [&] {
            ann.session().remove(first);
            return wait_for([&] { return first->seen().removed > 0; }, 1s);
        },
        20s));
    ASSERT_TRUE(bob.granted(second, 20s));
    EXPECT_EQ(third->seen().granted, 0);
    ASSERT_TRUE(bob.renew()) << "the lease outlived the server";
    bob.leave(second);
    ASSERT_TRUE(bob.granted(third));
}

TEST(etcd_waiting_alone, a_hold_that_vanished_with_its_history_is_told) {
    etcd_server server;
    server_world world(server.url());
    member ann(world, 60s);
    const auto held = ann.stand("jobs");
    etcdctl(server, {"del", "--prefix", "jobs/"});
    compact(server);
    EXPECT_TRUE(wait_for([&] { return held->seen().lost == 1; }, 10s));
}

TEST(etcd_waiting_alone, a_waiter_that_vanished_while_nobody_watched_is_told) {
    etcd_server server;
    server_world world(server.url());
    member ann(world, 60s);
    member bob(world, 60s);
    const auto first = ann.stand("jobs");
    const auto second = bob.stand("jobs");
    const auto keys = keys_below(server, "jobs/");
    ASSERT_EQ(keys.size(), 2U);
    server.signal(SIGSTOP);
    server.kill();
    server.start();
    etcdctl(server, {"del", "--prefix", "jobs/"});
    EXPECT_TRUE(wait_for([&] { return second->seen().lost == 1; }, 20s));
    EXPECT_EQ(second->seen().granted, 0);
}

} // namespace
} // namespace holdfast::etcd::testing
