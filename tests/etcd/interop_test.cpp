// Ours and the field's clients on one name: each excludes the other, both ways. The real etcdctl, etcd's own
// lock service, and Go's packages.
#include "etcd/one_server.hpp"

#include <future>

#include <holdfast/holdfast.hpp>

namespace holdfast::etcd::testing {
namespace {

using holdfast::testing::process_options;
using holdfast::testing::redirect;

class etcd_interop : public one_server {
  protected:
    // `etcdctl lock`, which says its key as soon as it holds, and holds until it is told to end.
    std::unique_ptr<child_process> etcdctl_lock(const std::string& name) {
        process_options options;
        options.env = {{"ETCDCTL_API", "3"}};
        options.out = redirect::pipe();
        return std::make_unique<child_process>(
            std::vector<std::string>{"etcdctl", "--endpoints", server().endpoint(), "lock", name}, options);
    }
};

TEST_F(etcd_interop, etcdctl_lock_excludes_ours_and_hands_over_to_it) {
    const auto theirs = etcdctl_lock(fresh());
    const auto key = theirs->read_line(10s);
    ASSERT_TRUE(key);
    member ann(here(), 10s);
    EXPECT_EQ(ann.stand(fresh(), lock_capacity, lock_capacity, true)->seen().refusal->code(), errc::busy);
    EXPECT_EQ(ann.stand(fresh(), 1, lock_capacity, true)->seen().refusal->code(), errc::busy)
        << "a reader too";
    const auto waiter = ann.stand(fresh());
    EXPECT_EQ(waiter->seen().waiting, 1);
    const auto shown = ann.engine().list(ann.now() + 5s).value();
    const auto found =
        std::find_if(shown.begin(), shown.end(), [&](const auto& one) { return one.name == fresh(); });
    ASSERT_NE(found, shown.end());
    ASSERT_EQ(found->claims.size(), 2U);
    EXPECT_TRUE(found->claims[0].foreign);
    EXPECT_TRUE(found->claims[0].holds);
    EXPECT_EQ(fresh() + "/" + found->claims[0].id, *key);
    EXPECT_FALSE(found->claims[1].holds);
    theirs->signal(SIGINT);
    EXPECT_TRUE(ann.granted(waiter));
}

TEST_F(etcd_interop, ours_excludes_etcdctl_lock_and_hands_over_to_it) {
    member ann(here(), 10s);
    const auto reader = ann.stand(fresh(), 1, lock_capacity);
    ASSERT_EQ(reader->seen().granted, 1);
    const auto theirs = etcdctl_lock(fresh());
    ASSERT_TRUE(wait_for([&] { return keys_below(server(), fresh() + "/").size() == 2; }, 10s));
    EXPECT_FALSE(theirs->read_line(300ms)) << "our reader excludes theirs too";
    const auto behind = ann.stand(fresh());
    ann.leave(reader);
    EXPECT_TRUE(theirs->read_line(10s));
    EXPECT_EQ(behind->seen().granted, 0) << "ours came after theirs";
    theirs->signal(SIGINT);
    EXPECT_TRUE(ann.granted(behind));
}

TEST_F(etcd_interop, a_name_with_slashes_is_the_same_lock_for_both) {
    const auto theirs = etcdctl_lock("/locks/" + fresh());
    ASSERT_TRUE(theirs->read_line(10s));
    member ann(here(), 10s);
    EXPECT_TRUE(ann.stand("/locks/" + fresh(), lock_capacity, lock_capacity, true)->seen().refusal);
    EXPECT_EQ(ann.stand("/locks", lock_capacity, lock_capacity, true)->seen().granted, 1)
        << "the name above is another lock";
    theirs->signal(SIGINT);
    EXPECT_TRUE(theirs->wait(10s));
}

// etcd's own lock service, by the gateway that speaks JSON. Its keys are NAME/LEASE.
class etcd_lock_service : public one_server {
  protected:
    static std::vector<std::string> request(const std::string& path, const std::string& body) {
        return {"curl", "-s", "--max-time", "30", "--data", body, "http://" + server().endpoint() + path};
    }
    static std::string ask(const std::string& path, const std::string& body) {
        return holdfast::testing::run_process(request(path, body), 40s).out;
    }
    static std::string field(const std::string& json, const std::string& name) {
        const std::string before = "\"" + name + "\":\"";
        const auto at = json.find(before);
        return at == std::string::npos
                   ? ""
                   : json.substr(at + before.size(), json.find('"', at + before.size()) - at - before.size());
    }
    static std::string lease() { return field(ask("/v3/lease/grant", R"({"TTL":30})"), "ID"); }
    static constexpr const char* name_in_base64 = "c2VydmljZQ=="; // "service"
};

TEST_F(etcd_lock_service, excludes_ours_and_is_excluded_by_it) {
    member ann(here(), 10s);
    const std::string body =
        std::string(R"({"name":")") + name_in_base64 + R"(","lease":")" + lease() + "\"}";
    const std::string key = field(ask("/v3/lock/lock", body), "key");
    ASSERT_FALSE(key.empty());
    EXPECT_EQ(ann.stand("service", lock_capacity, lock_capacity, true)->seen().refusal->code(), errc::busy);
    const auto waiter = ann.stand("service");
    ASSERT_EQ(waiter->seen().waiting, 1);

    const std::string later =
        std::string(R"({"name":")") + name_in_base64 + R"(","lease":")" + lease() + "\"}";
    child_process theirs(request("/v3/lock/lock", later), {.out = redirect::pipe()});
    ASSERT_TRUE(wait_for([&] { return keys_below(server(), "service/").size() == 3; }, 15s));
    EXPECT_EQ(waiter->seen().granted, 0);
    ask("/v3/lock/unlock", R"({"key":")" + key + "\"}");
    EXPECT_TRUE(ann.granted(waiter));
    EXPECT_TRUE(theirs.running());
    ann.leave(waiter);
    EXPECT_NE(theirs.read_all(20s).find("\"key\""), std::string::npos) << "theirs was next";
}

#if defined(HOLDFAST_GO_PEER)

class etcd_go : public one_server {
  protected:
    static std::unique_ptr<child_process> go(std::vector<std::string> args) {
        args.insert(args.begin(), {HOLDFAST_GO_PEER, server().endpoint()});
        return std::make_unique<child_process>(std::move(args),
                                               process_options{.out = redirect::pipe(), .input_pipe = true});
    }
    static std::string said(child_process& by) { return by.read_line(20s).value_or("nothing"); }
};

TEST_F(etcd_go, its_mutex_excludes_ours_and_hands_over_to_it) {
    const auto theirs = go({"lock", fresh()});
    ASSERT_EQ(said(*theirs).substr(0, 5), "held ");
    member ann(here(), 10s);
    EXPECT_EQ(ann.stand(fresh(), lock_capacity, lock_capacity, true)->seen().refusal->code(), errc::busy);
    const auto waiter = ann.stand(fresh());
    ASSERT_EQ(waiter->seen().waiting, 1);
    theirs->write_input("\n");
    EXPECT_TRUE(ann.granted(waiter));
    EXPECT_EQ(said(*theirs), "released");
}

TEST_F(etcd_go, ours_excludes_its_mutex_and_hands_over_to_it) {
    member ann(here(), 10s);
    const auto held = ann.stand(fresh());
    const auto theirs = go({"lock", fresh()});
    ASSERT_TRUE(wait_for([&] { return keys_below(server(), fresh() + "/").size() == 2; }, 20s));
    EXPECT_FALSE(theirs->read_line(300ms));
    const auto behind = ann.stand(fresh());
    ann.leave(held);
    EXPECT_EQ(said(*theirs).substr(0, 5), "held ");
    EXPECT_EQ(behind->seen().granted, 0);
    theirs->write_input("\n");
    EXPECT_TRUE(ann.granted(behind));
}

TEST_F(etcd_go, its_election_and_ours_are_one) {
    const auto locks = connect(server().url());
    auto office = locks.election(fresh());
    const auto theirs = go({"elect", fresh(), "go:1"});
    ASSERT_EQ(said(*theirs), "leads");
    const auto seen = office.leader();
    ASSERT_TRUE(seen) << seen.error().message();
    ASSERT_TRUE(seen->has_value());
    EXPECT_EQ((*seen)->proposal, "go:1");
    auto campaign = std::async(std::launch::async, [&] { return office.campaign("ours:1"); });
    ASSERT_TRUE(wait_for([&] { return keys_below(server(), fresh() + "/").size() == 2; }, 20s));
    theirs->write_input("\n");
    auto leads = campaign.get();
    ASSERT_TRUE(leads) << leads.error().message();
    EXPECT_EQ(said(*go({"leader", fresh()})), "ours:1");
    EXPECT_TRUE(leads->proclaim("ours:2"));
    EXPECT_EQ(said(*go({"leader", fresh()})), "ours:2");
    const auto next = go({"elect", fresh(), "go:2"});
    EXPECT_FALSE(next->read_line(300ms));
    EXPECT_TRUE(leads->resign());
    EXPECT_EQ(said(*next), "leads");
    next->write_input("\n");
    EXPECT_EQ(said(*next), "resigned");
}

#endif

} // namespace
} // namespace holdfast::etcd::testing
