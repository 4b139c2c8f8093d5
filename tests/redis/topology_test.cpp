// Ways to reach a server, rights on it, and what it can promise.
#include "fixture.hpp"

#include <fstream>
#include <future>

namespace holdfast::testing {
namespace {

TEST(rights, a_missing_or_wrong_password_is_unauthorized_and_never_shown) {
    redis_server server({"--requirepass", "correct-horse"});
    const std::string at = "127.0.0.1:" + std::to_string(server.port());
    for (const std::string& url :
         {"redis://" + at, "redis://:wrong-battery@" + at, "redis://ann:wrong-battery@" + at}) {
        const auto outcome = try_connect(url);
        ASSERT_FALSE(outcome) << url;
        EXPECT_EQ(outcome.error().code(), errc::unauthorized) << outcome.error().message();
        EXPECT_THAT(outcome.error().message(), ::testing::HasSubstr(at));
        EXPECT_THAT(outcome.error().message(), ::testing::Not(::testing::HasSubstr("battery")));
    }
    auto locks = connect("redis://:correct-horse@" + at);
    EXPECT_TRUE(locks.mutex("a").acquire());
}

TEST(rights, a_user_without_a_password_is_not_silently_the_default_user) {
    redis_server server;
    raw_client raw(server.port());
    ASSERT_EQ(raw.text({"ACL", "SETUSER", "ann", "on", ">pw", "~*", "&*", "+@all"}), "OK");
    ASSERT_EQ(raw.text({"ACL", "SETUSER", "bob", "on", "nopass", "~bob:*", "~holdfast:*", "&*", "+@all"}),
              "OK");
    const std::string at = "127.0.0.1:" + std::to_string(server.port());
    const auto ann = try_connect("redis://ann@" + at);
    ASSERT_FALSE(ann);
    EXPECT_EQ(ann.error().code(), errc::unauthorized) << ann.error().message();
    auto bob = connect("redis://bob@" + at);
    EXPECT_TRUE(bob.mutex("bob:1").acquire());
    EXPECT_EQ(code_of(bob.mutex("ann:1").acquire()), errc::unauthorized);
}

// The rights that the message and the documentation name are enough.
TEST(rights, the_documented_rights_suffice_and_less_is_unauthorized) {
    redis_server server;
    raw_client raw(server.port());
    const auto allow = [&](const std::string& user, std::vector<std::string> rules) {
        std::vector<std::string> words{"ACL", "SETUSER", user, "on", ">pw"};
        words.insert(words.end(), rules.begin(), rules.end());
        ASSERT_EQ(raw.text(words), "OK");
    };
    allow("app",
          {"~app:*", "~holdfast:*", "&holdfast:*", "+@read", "+@write", "+@scripting", "+@pubsub", "+time"});
    allow("no-channel", {"~app:*", "~holdfast:*", "resetchannels", "+@read", "+@write", "+@scripting",
                         "+@pubsub", "+time"});
    allow("no-script", {"~app:*", "~holdfast:*", "&holdfast:*", "+@read", "+@write", "+time"});
    const auto url = [&](const std::string& user) {
        return "redis://" + user + ":pw@127.0.0.1:" + std::to_string(server.port());
    };
    auto locks = connect(url("app"));
    EXPECT_EQ(locks.traits().gives, level::efficiency);
    EXPECT_THAT(locks.traits().why, ::testing::HasSubstr("assume"));
    auto held = locks.mutex("app:1").acquire();
    ASSERT_TRUE(held);
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("app:1").acquire(); });
    EXPECT_EQ(waiter.wait_for(200ms), std::future_status::timeout);
    EXPECT_TRUE(held->release());
    EXPECT_TRUE(waiter.get());

    const auto outside = locks.mutex("other:1").acquire();
    ASSERT_FALSE(outside);
    EXPECT_EQ(outside.error().code(), errc::unauthorized) << outside.error().message();
    EXPECT_THAT(outside.error().message(), ::testing::HasSubstr("ACL SETUSER"));

    auto deaf = connect(url("no-channel"));
    auto first = deaf.mutex("app:2").acquire();
    EXPECT_TRUE(first) << first.error().message();
    EXPECT_EQ(code_of(deaf.mutex("app:2").try_acquire_for(3s)), errc::unauthorized);

    const auto elsewhere = try_connect(url("app") + "/3");
    ASSERT_FALSE(elsewhere);
    EXPECT_EQ(elsewhere.error().code(), errc::unauthorized);
    EXPECT_THAT(elsewhere.error().message(), ::testing::HasSubstr("+time +select"));
    allow("app", {"+select"});
    EXPECT_TRUE(connect(url("app") + "/3").mutex("app:1").acquire());

    auto mute = connect(url("no-script"));
    EXPECT_EQ(code_of(mute.mutex("app:3").acquire()), errc::unauthorized);
}

TEST(topology, only_a_master_that_keeps_everything_is_fenced) {
    redis_server durable({"--appendonly", "yes", "--appendfsync", "always"});
    auto locks = connect(durable.url(), {.require = level::fenced});
    EXPECT_EQ(locks.traits().gives, level::fenced);
    EXPECT_EQ(locks.traits().why, "");
    raw_client(durable.port())({"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"});
    const auto evicting = try_connect(durable.url(), {.require = level::fenced});
    ASSERT_FALSE(evicting);
    EXPECT_EQ(evicting.error().code(), errc::level_not_met);
    EXPECT_THAT(evicting.error().message(), ::testing::HasSubstr("maxmemory-policy is 'allkeys-lru'"));
}

TEST(topology, what_cannot_be_read_counts_as_absent_unless_it_is_assumed) {
    redis_server server({"--rename-command", "CONFIG", ""});
    EXPECT_EQ(connect(server.url()).traits().gives, level::efficiency);
    EXPECT_EQ(connect(server.url() + "?assume=exclusive").traits().gives, level::exclusive);
    EXPECT_EQ(connect(server.url() + "?assume=fenced").traits().gives, level::fenced);
    EXPECT_EQ(try_connect(server.url() + "?assume=magic").error().code(), errc::config);
}

TEST(topology, a_replica_makes_a_master_unsafe_and_is_no_master_itself) {
    redis_server master(
        {"--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"});
    redis_server replica({"--replicaof", "127.0.0.1 " + std::to_string(master.port())});
    ASSERT_TRUE(wait_for(
        [&] {
            return raw_client(master.port()).text({"INFO", "replication"}).find("connected_slaves:1") !=
                   std::string::npos;
        },
        10s));
    EXPECT_EQ(connect(master.url()).traits().gives, level::efficiency);
    EXPECT_THAT(connect(master.url()).traits().why, ::testing::HasSubstr("replicas"));
    const auto outcome = try_connect(replica.url());
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code(), errc::config);
    EXPECT_THAT(outcome.error().message(), ::testing::HasSubstr("replica"));
}

TEST(topology, a_unix_socket_and_a_database_of_its_own) {
    redis_server server({"--unixsocket", "s.sock"});
    raw_client raw(server.port());
    auto locks = connect("unix://" + (server.folder() / "s.sock").string() + "?db=3");
    auto held = locks.mutex("a").acquire();
    ASSERT_TRUE(held);
    EXPECT_EQ(raw.keys(), 0);
    raw({"SELECT", "3"});
    EXPECT_EQ(raw.keys(), 2);
    auto tcp = connect(server.url() + "/3");
    EXPECT_EQ(code_of(tcp.mutex("a").try_acquire()), errc::busy);
    const auto missing = try_connect(server.url() + "/99");
    ASSERT_FALSE(missing);
    EXPECT_THAT(missing.error().message(), ::testing::HasSubstr("DB index"));
    EXPECT_EQ(try_connect(server.url() + "/x").error().code(), errc::config);
    const auto two_slashes = try_connect("unix:/" + (server.folder() / "s.sock").string());
    ASSERT_FALSE(two_slashes);
    EXPECT_EQ(two_slashes.error().code(), errc::config);
    EXPECT_THAT(two_slashes.error().message(), ::testing::HasSubstr("unix:///path"));
}

TEST(topology, a_host_may_be_a_name) {
    redis_server server;
    auto locks = connect("redis://localhost:" + std::to_string(server.port()));
    EXPECT_TRUE(locks.mutex("a").acquire());
    const auto nowhere = try_connect("redis://nowhere.invalid:6379");
    ASSERT_FALSE(nowhere);
    EXPECT_EQ(nowhere.error().code(), errc::unavailable);
}

/// A certificate authority and what it signed, in a folder.
void make_certificates(const std::filesystem::path& folder) {
    const std::string script = R"(set -e
        cd "$1"
        for ca in ca other-ca; do
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=$ca -keyout $ca.key -out $ca.pem
        done
        for who in localhost elsewhere client; do
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=$who -keyout $who.key -out $who.csr
            printf 'subjectAltName=DNS:%s\n' $who > $who.ext
            openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $who.ext -out $who.pem
        done)";
    const auto ran = run_process({"/bin/sh", "-c", script, "sh", folder.string()}, 60s,
                                 {.out = redirect::null(), .err = redirect::pipe()});
    ASSERT_TRUE(ran.status.ok()) << ran.err;
}

TEST(tls, the_server_s_name_and_authority_are_verified_and_we_show_our_certificate) {
    temp_dir folder;
    make_certificates(folder.path());
    const auto file = [&](const std::string& name) { return (folder / name).string(); };
    const std::uint16_t port = free_port();
    const auto with_tls = [&](const std::string& who) {
        return std::vector<std::string>{"--tls-port",         std::to_string(port), "--tls-cert-file",
                                        file(who + ".pem"),   "--tls-key-file",     file(who + ".key"),
                                        "--tls-ca-cert-file", file("ca.pem")};
    };
    const std::string url = "rediss://localhost:" + std::to_string(port);
    const options good{
        .ca_file = file("ca.pem"), .cert_file = file("client.pem"), .key_file = file("client.key")};
    {
        redis_server server(with_tls("localhost"));
        auto locks = connect(url, good);
        auto held = locks.mutex("a").acquire();
        ASSERT_TRUE(held);
        auto waiter = std::async(std::launch::async, [&] { return locks.mutex("a").acquire(); });
        EXPECT_EQ(waiter.wait_for(100ms), std::future_status::timeout);
        EXPECT_TRUE(held->release());
        EXPECT_TRUE(waiter.get());

        options other = good;
        other.ca_file = file("other-ca.pem");
        EXPECT_EQ(try_connect(url, other).error().code(), errc::unavailable) << "an unknown authority";
        options nobody = good;
        nobody.cert_file = nobody.key_file = "";
        EXPECT_FALSE(try_connect(url, nobody)) << "the server wants a client certificate";
        options missing = good;
        missing.ca_file = file("missing.pem");
        EXPECT_EQ(try_connect(url, missing).error().code(), errc::config);
        options brief = good;
        brief.op_timeout = 500ms;
        const auto plain = try_connect("rediss://127.0.0.1:" + std::to_string(server.port()), brief);
        ASSERT_FALSE(plain) << "no TLS there";
        EXPECT_EQ(plain.error().code(), errc::unavailable);
        EXPECT_THAT(plain.error().message(), ::testing::HasSubstr("does it speak TLS"));
        const auto in_the_clear = try_connect(server.url(), good);
        ASSERT_FALSE(in_the_clear) << "whoever gives certificates means TLS";
        EXPECT_EQ(in_the_clear.error().code(), errc::config);
        EXPECT_THAT(in_the_clear.error().message(), ::testing::HasSubstr("write rediss://"));
    }
    redis_server impostor(with_tls("elsewhere"));
    const auto outcome = try_connect(url, good);
    ASSERT_FALSE(outcome);
    EXPECT_THAT(outcome.error().message(), ::testing::HasSubstr("certificate"));
}

} // namespace
} // namespace holdfast::testing
