// Users, passwords, rights, and TLS, on servers of their own.
#include "etcd/one_server.hpp"

#include "core/factory.hpp"
#include "support/ports.hpp"
#include "support/temp_dir.hpp"

namespace holdfast::etcd::testing {
namespace {

class etcd_auth : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        made_ = std::make_unique<etcd_server>();
        etcdctl(server(), {"user", "add", "root:rootpw"});
        etcdctl(server(), {"user", "grant-role", "root", "root"});
        etcdctl(server(), {"role", "add", "jobs"});
        etcdctl(server(), {"role", "grant-permission", "--prefix=true", "jobs", "readwrite", "jobs/"});
        etcdctl(server(), {"user", "add", "ann:annpw"});
        etcdctl(server(), {"user", "grant-role", "ann", "jobs"});
        etcdctl(server(), {"auth", "enable"});
    }
    static void TearDownTestSuite() { made_.reset(); }
    static etcd_server& server() { return *made_; }
    static std::string url(const std::string& who) { return "etcd://" + who + "@" + server().endpoint(); }

  private:
    static std::unique_ptr<etcd_server> made_;
};
std::unique_ptr<etcd_server> etcd_auth::made_;

TEST_F(etcd_auth, a_wrong_password_is_unauthorized_and_not_repeated_in_the_message) {
    for (const std::string who : {"ann:wrongpw", "nobody:wrongpw"}) {
        const auto checked = make_store(url(who))->check(in(5s));
        ASSERT_FALSE(checked);
        EXPECT_EQ(checked.error().code(), errc::unauthorized);
        EXPECT_NE(checked.error().message().find("wrong user or password"), std::string::npos);
        EXPECT_EQ(checked.error().message().find("wrongpw"), std::string::npos);
    }
}

TEST_F(etcd_auth, a_role_on_the_prefix_of_the_name_is_enough_to_hold_and_to_wait) {
    server_world world(url("ann:annpw"));
    member ann(world, 10s);
    member bob(world, 10s);
    const auto first = ann.stand("jobs");
    const auto second = bob.stand("jobs");
    ASSERT_EQ(first->seen().granted, 1);
    ASSERT_EQ(second->seen().waiting, 1);
    EXPECT_TRUE(ann.renew());
    ann.leave(first);
    ASSERT_TRUE(bob.granted(second));
    EXPECT_EQ(ann.stand("jobs", lock_capacity, lock_capacity, true)->seen().refusal->code(), errc::busy);
    bob.leave(second);
}

TEST_F(etcd_auth, a_missing_right_is_unauthorized_and_says_what_to_grant) {
    server_world world(url("ann:annpw"));
    member ann(world, 10s);
    const auto other = ann.stand("others");
    ASSERT_TRUE(other->seen().refusal);
    EXPECT_EQ(other->seen().refusal->code(), errc::unauthorized);
    EXPECT_NE(other->seen().refusal->message().find("readwrite"), std::string::npos);
    const auto all = ann.engine().list(in(5s));
    ASSERT_FALSE(all);
    EXPECT_EQ(all.error().code(), errc::unauthorized);
}

TEST_F(etcd_auth, no_user_where_one_is_wanted_is_unauthorized) {
    server_world world(server().url());
    member ann(world, 10s);
    const auto claim = ann.stand("jobs");
    ASSERT_TRUE(claim->seen().refusal);
    EXPECT_EQ(claim->seen().refusal->code(), errc::unauthorized);
    EXPECT_NE(claim->seen().refusal->message().find("wants a user"), std::string::npos);
}

TEST_F(etcd_auth, a_token_that_the_server_forgot_is_replaced_while_holding_and_while_waiting) {
    server_world world(url("ann:annpw"));
    member ann(world, 60s);
    member bob(world, 60s);
    const auto first = ann.stand("jobs");
    const auto second = bob.stand("jobs");
    server().restart(); // Its tokens live in memory only.
    ASSERT_TRUE(wait_for([&] { return ann.session().renew(in(2s)).has_value(); }, 20s));
    ASSERT_TRUE(wait_for(
        [&] {
            ann.session().remove(first);
            return wait_for([&] { return first->seen().removed > 0; }, 1s);
        },
        20s));
    EXPECT_TRUE(bob.granted(second, 20s));
    bob.leave(second);
}

TEST(etcd_auth_off, a_user_does_no_harm_where_authentication_is_off) {
    etcd_server server;
    server_world world("etcd://ann:annpw@" + server.endpoint());
    member ann(world, 10s);
    EXPECT_EQ(ann.stand("jobs")->seen().granted, 1);
}

// The support library's server speaks plain HTTP; this one is started here.
class etcd_tls : public ::testing::Test {
  protected:
    void SetUp() override {
        const std::string base = folder_.path().string() + "/";
        holdfast::testing::process_options quiet;
        const auto made = holdfast::testing::run_process({"openssl", "req", "-x509", "-newkey", "rsa:2048",
                                                          "-nodes", "-days", "2", "-keyout", base + "key.pem",
                                                          "-out", base + "cert.pem", "-subj", "/CN=localhost",
                                                          "-addext", "subjectAltName=DNS:localhost"},
                                                         20s, quiet);
        ASSERT_TRUE(made.status.ok()) << made.err;
        port_ = std::to_string(holdfast::testing::free_port());
        const std::string peer = "http://127.0.0.1:" + std::to_string(holdfast::testing::free_port());
        const std::string client = "https://localhost:" + port_;
        holdfast::testing::process_options options;
        options.out = options.err = holdfast::testing::redirect::file(base + "log");
        server_ = std::make_unique<child_process>(std::vector<std::string>{"etcd",
                                                                           "--name",
                                                                           "one",
                                                                           "--data-dir",
                                                                           base + "data",
                                                                           "--listen-client-urls",
                                                                           "https://127.0.0.1:" + port_,
                                                                           "--advertise-client-urls",
                                                                           client,
                                                                           "--listen-peer-urls",
                                                                           peer,
                                                                           "--initial-advertise-peer-urls",
                                                                           peer,
                                                                           "--initial-cluster",
                                                                           "one=" + peer,
                                                                           "--unsafe-no-fsync",
                                                                           "--cert-file",
                                                                           base + "cert.pem",
                                                                           "--key-file",
                                                                           base + "key.pem",
                                                                           "--client-cert-auth",
                                                                           "--trusted-ca-file",
                                                                           base + "cert.pem"},
                                                  options);
    }
    result<void> check(const std::string& host, bool ca, bool certificate) {
        core::store_config config;
        config.url = core::parse_url("etcds://" + host + ":" + port_).value();
        config.op_timeout = 3s;
        config.ca_file = ca ? (folder_ / "cert.pem").string() : "";
        config.cert_file = certificate ? (folder_ / "cert.pem").string() : "";
        config.key_file = certificate ? (folder_ / "key.pem").string() : "";
        return core::make_store(config).value()->check(in(3s));
    }

  private:
    holdfast::testing::temp_dir folder_;
    std::string port_;
    std::unique_ptr<child_process> server_;
};

TEST_F(etcd_tls, authority_name_and_our_certificate_are_checked) {
    ASSERT_TRUE(wait_for([&] { return check("localhost", true, true).has_value(); }, 20s))
        << check("localhost", true, true).error().message();
    const auto stranger = check("localhost", false, true);
    ASSERT_FALSE(stranger) << "the system's authorities do not know this server";
    EXPECT_EQ(stranger.error().code(), errc::unavailable);
    EXPECT_FALSE(check("127.0.0.1", true, true)) << "the certificate is for another name";
    EXPECT_FALSE(check("localhost", true, false)) << "the server wants a certificate of ours";
}

} // namespace
} // namespace holdfast::etcd::testing
