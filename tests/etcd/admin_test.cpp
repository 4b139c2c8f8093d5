// What administrators and elections do, seen in etcd's own keys and by its other clients.
#include <algorithm>
#include <atomic>
#include <thread>

#include "etcd/one_server.hpp"

namespace holdfast::etcd::testing {
namespace {

class etcd_admin : public one_server {
  protected:
    resource_name named(const std::string& stem = "name") const {
        return resource_name::make(fresh(stem)).value();
    }
    std::shared_ptr<recorded_claim> candidate(member& who, const std::string& proposal) {
        claim what = who.make(fresh())->claim();
        what.proposal = proposal;
        auto made = std::make_shared<recorded_claim>(std::move(what));
        who.append(made);
        EXPECT_TRUE(wait_for(
            [&] {
                return made->seen().granted + made->seen().waiting > 0 || made->seen().refusal.has_value();
            },
            10s));
        return made;
    }
};

TEST_F(etcd_admin, a_break_is_known_at_once_and_called_so_by_watches_of_the_key_and_of_the_line) {
    member ann(here(), 60s);
    member bob(here(), 60s);
    const auto alone = ann.stand(fresh("alone"));
    const auto contended = ann.stand(fresh("line"));
    const auto next = ann.stand(fresh("line"));
    for (const auto& [held, name] : {std::pair(alone, named("alone")), std::pair(contended, named("line"))}) {
        const auto broken = bob.engine().break_holds(name, {}, bob.now() + 5s);
        ASSERT_TRUE(broken) << broken.error().message();
        EXPECT_EQ(*broken, 1U);
        EXPECT_TRUE(wait_for([&its = held] { return its->seen().lost == 1; }, 5s));
        EXPECT_EQ(held->seen().reason, loss_reason::broken);
    }
    EXPECT_TRUE(ann.granted(next));
}

TEST_F(etcd_admin, a_line_longer_than_a_page_is_resized_as_a_whole_and_judged_so) {
    member ann(here(), 60s);
    std::vector<std::shared_ptr<recorded_claim>> line;
    for (int i = 0; i < 150; ++i) {
        line.push_back(ann.stand(fresh(), 1, 2));
    }
    ASSERT_TRUE(ann.engine().resize(named(), 100, ann.now() + 20s));
    EXPECT_TRUE(ann.granted(line[99]));
    EXPECT_EQ(line[100]->seen().granted, 0);
    const auto shown = ann.engine().show(named(), ann.now() + 5s).value();
    EXPECT_EQ(shown.capacity, 100U);
    EXPECT_EQ(std::ranges::count_if(shown.claims, [](const claim_status& one) { return one.holds; }), 100);
    member bob(here(), 60s);
    const auto behind = bob.stand(fresh(), 1, 100);
    EXPECT_EQ(behind->seen().waiting, 1);
    const auto tried = bob.stand(fresh(), 1, 100, true);
    ASSERT_TRUE(tried->seen().refusal);
    EXPECT_EQ(tried->seen().refusal->code(), errc::busy);
}

TEST_F(etcd_admin, a_leaders_proposal_is_its_keys_bare_value_for_gos_observers) {
    member ann(here(), 30s);
    const auto leader = candidate(ann, "ann:8080");
    const std::string key = ann.session().engine_key(*leader);
    EXPECT_EQ(etcdctl(server(), {"get", "--print-value-only", key}), "ann:8080\n");
    holdfast::testing::process_options options;
    options.env = {{"ETCDCTL_API", "3"}};
    options.out = holdfast::testing::redirect::pipe();
    child_process observer({"etcdctl", "--endpoints", server().endpoint(), "elect", "-l", fresh()}, options);
    EXPECT_EQ(observer.read_line(10s), key);
    EXPECT_EQ(observer.read_line(10s), "ann:8080");
    ASSERT_TRUE(ann.session().proclaim(*leader, "ann:9090", ann.now() + 5s));
    EXPECT_EQ(etcdctl(server(), {"get", "--print-value-only", key}), "ann:9090\n");
    EXPECT_EQ(observer.read_line(10s), key);
    EXPECT_EQ(observer.read_line(10s), "ann:9090");
    EXPECT_EQ(ann.engine().show(named(), ann.now() + 5s)->claims.at(0).proposal, "ann:9090");
    // The lease stays with the key.
    ASSERT_TRUE(ann.renew());
    ann.session().close(ann.now() + 5s);
    EXPECT_TRUE(keys_below(server(), fresh() + "/").empty());
    observer.kill();
}

TEST_F(etcd_admin, trying_is_not_busy_because_deeper_names_come_and_go) {
    member ann(here(), 60s);
    std::atomic<bool> stop{false};
    std::vector<std::thread> churn;
    for (int i = 0; i < 4; ++i) {
        churn.emplace_back([&, i] {
            member own(here(), 60s);
            while (!stop) {
                own.leave(own.stand(fresh() + "/below-" + std::to_string(i)));
            }
        });
    }
    for (int i = 0; i < 50; ++i) {
        const auto tried = ann.stand(fresh(), lock_capacity, lock_capacity, true);
        EXPECT_EQ(tried->seen().granted, 1) << i;
        ann.leave(tried);
    }
    stop = true;
    for (std::thread& one : churn) {
        one.join();
    }
}

TEST_F(etcd_admin, what_doctor_finds_on_one_healthy_member) {
    member ann(here(), 30s);
    const auto findings = ann.engine().diagnose(10s, ann.now() + 20s);
    const auto all = [&](const std::string& what) {
        std::string out;
        for (const finding& one : findings) {
            out += one.what == what ? one.seen + "|" : "";
        }
        return out;
    };
    for (const char* what :
         {"endpoint", "leader", "version", "alarms", "cluster", "round-trip", "lease", "rights", "line"}) {
        EXPECT_NE(all(what), "") << what;
    }
    EXPECT_NE(all("endpoint").find("answers"), std::string::npos);
    const auto nowhere = make_store("etcd://127.0.0.1:1," + server().endpoint());
    const auto partly = nowhere->diagnose(10s, now(clock_source::boottime) + 20s);
    EXPECT_EQ(
        std::ranges::count_if(partly, [](const finding& one) { return one.how == finding::severity::error; }),
        1)
        << "the member that is down";
}

// Go's and etcdctl's locks wait behind it as ours do: nothing ever takes it away.
TEST_F(etcd_admin, doctor_names_a_key_without_a_lease_that_stands_in_a_locks_line) {
    const std::string space = fresh("space");
    server_world spaced(server().url() + "/" + space);
    member ann(spaced, 30s);
    const auto lines = [&] {
        for (const finding& one : ann.engine().diagnose(10s, ann.now() + 20s)) {
            if (one.what == "line") {
                return one;
            }
        }
        return finding{};
    };
    etcdctl(server(), {"put", space + "/config/colour", "blue"});
    const auto held = ann.stand("deploy");
    EXPECT_EQ(lines().how, finding::severity::fine) << lines().seen << ": nobody locks 'config'";
    const std::string stray = space + "/deploy/stray";
    etcdctl(server(), {"put", stray, "x"});
    const auto waiter = ann.stand("deploy");
    ann.leave(held);
    const finding blocked = lines();
    EXPECT_EQ(blocked.how, finding::severity::error);
    EXPECT_NE(blocked.seen.find("'" + stray + "'"), std::string::npos) << blocked.seen;
    EXPECT_EQ(blocked.seen.find("colour"), std::string::npos) << blocked.seen;
    EXPECT_NE(blocked.remedy, "");
    EXPECT_EQ(waiter->seen().granted, 0);
    etcdctl(server(), {"del", stray});
    EXPECT_TRUE(ann.granted(waiter)) << "the remedy";
    EXPECT_EQ(lines().how, finding::severity::fine);
}

} // namespace
} // namespace holdfast::etcd::testing
