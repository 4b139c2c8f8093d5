#include "core/factory.hpp"

#include <gtest/gtest.h>

#include <holdfast/holdfast.hpp>

namespace holdfast::core {
namespace {

TEST(url, reads_every_host_of_a_list) {
    const auto url = parse_url("etcd://h1:2379,h2,[::1]:2381/team/a");
    ASSERT_TRUE(url) << url.error().message();
    ASSERT_EQ(url->endpoints.size(), 3U);
    EXPECT_EQ(url->endpoints[0].host, "h1");
    EXPECT_EQ(url->endpoints[0].port, 2379);
    EXPECT_EQ(url->endpoints[1].host, "h2");
    EXPECT_EQ(url->endpoints[1].port, 0);
    EXPECT_EQ(url->endpoints[2].host, "::1");
    EXPECT_EQ(url->endpoints[2].port, 2381);
    EXPECT_EQ(url->path, "team/a");
}

TEST(url, decodes_credentials_and_never_shows_the_password) {
    const auto url = parse_url("redis://ann:p%40ss%2Cword@db:6379/3");
    ASSERT_TRUE(url) << url.error().message();
    EXPECT_EQ(url->user, "ann");
    EXPECT_EQ(url->password, "p@ss,word");
    EXPECT_EQ(url->path, "3");
    EXPECT_EQ(url->redacted, "redis://ann:***@db:6379/3");
}

TEST(url, a_bad_url_names_the_remedy_and_hides_the_password) {
    for (const char* bad : {"redis://u:secret@h:99999/0", "redis://u:secret@h:x", "redis://u:secret@h1,,h2",
                            "redis://u:secret@h/%zz", "redis://u:secret@h#f", "redis://u:secret@h?#f"}) {
        const auto url = parse_url(bad);
        ASSERT_FALSE(url) << bad;
        EXPECT_EQ(url.error().code(), errc::config);
        EXPECT_EQ(url.error().message().find("secret"), std::string::npos) << url.error().message();
        EXPECT_NE(url.error().message().find("bad URL"), std::string::npos);
    }
    // A password with special characters that are not encoded cuts the URL short, and must not be shown for
    // that.
    for (const char* bad : {"redis://ann:zz/qq@h:6379", "redis://:zz/qq@h", "redis://ann:zz?qq@h/0",
                            "redis://ann:zz#qq@h", "redis://ann:12/zz/qq@h", "etcd://ann:s@x/zz/qq@h1,h2",
                            "redis:ann:zz:qq@h", "ann:zz:qq@h:6379", "redis://ann:p@zz@/qq@h"}) {
        const auto url = parse_url(bad);
        ASSERT_FALSE(url) << bad;
        const std::string& told = url.error().message();
        EXPECT_EQ(told.find("zz"), std::string::npos) << told;
        EXPECT_EQ(told.find("qq"), std::string::npos) << told;
        EXPECT_EQ(url.error().code(), errc::config);
    }
    EXPECT_EQ(parse_url("redis://h/0?password=cret&db=1&auth=cret")->redacted,
              "redis://h/0?password=***&db=1&auth=***");
    EXPECT_FALSE(parse_url(""));
    EXPECT_FALSE(parse_url("127.0.0.1"));
    EXPECT_FALSE(parse_url("etcd:127.0.0.1"));
}

TEST(url, a_host_without_a_scheme_is_told_the_schemes) {
    for (const char* bad : {"localhost:6379", "redis:localhost:6379", "db1", "rdis:x"}) {
        const auto url = parse_url(bad);
        ASSERT_FALSE(url) << bad;
        EXPECT_NE(url.error().message().find("redis://127.0.0.1:6379"), std::string::npos)
            << url.error().message();
        EXPECT_EQ(url.error().message().find("localhost://"), std::string::npos) << url.error().message();
    }
}

TEST(url, the_local_store_has_a_folder_and_no_host) {
    EXPECT_EQ(parse_url("local:")->path, "");
    EXPECT_EQ(parse_url("local:/a folder/50%")->path, "/a folder/50%");
    EXPECT_EQ(parse_url("local:/me@home")->redacted, "local:/me@home");
    EXPECT_FALSE(parse_url("local://host/x"));
    EXPECT_FALSE(parse_url("local:relative"));
}

TEST(url, a_unix_socket_keeps_its_path_and_options) {
    const auto url = parse_url("unix:///run/redis/redis.sock?db=2");
    ASSERT_TRUE(url) << url.error().message();
    EXPECT_EQ(url->path, "/run/redis/redis.sock");
    EXPECT_EQ(url->query.at("db"), "2");
    EXPECT_EQ(parse_url("unix:///run/me@home.sock")->path, "/run/me@home.sock");
    EXPECT_EQ(parse_url("etcd://h/team%40home")->path, "team@home");
    EXPECT_TRUE(url->endpoints.empty());
}

TEST(password_file, one_that_is_none_is_told_from_a_password) {
    for (const char* path : {"/", "/nowhere/at/all", "/dev/zero", "/dev/null/x"}) {
        const auto made = try_connect("redis://127.0.0.1:1", {.password_file = path});
        ASSERT_FALSE(made) << path;
        EXPECT_EQ(made.error().code(), errc::config);
        EXPECT_NE(made.error().message().find(std::string("'") + path + "'"), std::string::npos)
            << made.error().message();
    }
}

TEST(url, an_unknown_scheme_and_a_store_that_was_not_linked_are_told_apart) {
    store_config config;
    config.url = *parse_url("consul://h:1");
    EXPECT_NE(make_store(config).error().message().find("no store is known for 'consul:'"),
              std::string::npos);
    config.url = *parse_url("etcd://h:1");
    EXPECT_NE(make_store(config).error().message().find("holdfast::etcd"), std::string::npos);
}

} // namespace
} // namespace holdfast::core
