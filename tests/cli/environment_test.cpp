#include "cli/child_environment.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "cli/store_identity.hpp"

namespace holdfast::cli {
namespace {

TEST(held_list, finds_exactly_its_own_entries) {
    command_environment environment;
    environment.name = "a b|c%\xff";
    environment.url = "etcd://h/n s";
    const std::string additions = environment_additions(environment);
    const std::string marker = "HOLDFAST_HELD=";
    const std::string held = additions.substr(additions.find(marker) + marker.size());
    const std::string list(held.c_str());
    EXPECT_TRUE(is_held_by_ancestor(list.c_str(), environment.url, environment.name));
    EXPECT_FALSE(is_held_by_ancestor(list.c_str(), environment.url, "a"));
    EXPECT_FALSE(is_held_by_ancestor(list.c_str(), "etcd://h/n", environment.name));
    EXPECT_FALSE(is_held_by_ancestor(nullptr, environment.url, environment.name));
    EXPECT_FALSE(is_held_by_ancestor("", environment.url, environment.name));
}

TEST(held_list, grows_with_each_level) {
    command_environment environment;
    environment.name = "inner";
    environment.url = "local:/x";
    environment.held_by_ancestors = "local:/x|outer";
    const std::string additions = environment_additions(environment);
    EXPECT_NE(additions.find("HOLDFAST_HELD=local:/x|outer local:/x|inner"), std::string::npos);
}

TEST(held_list, knows_a_store_by_every_spelling_and_without_its_password) {
    command_environment environment;
    environment.name = "n";
    environment.url = "redis://ann:***@Cache,b:7000/0";
    const std::string additions = environment_additions(environment);
    const std::string list(additions.c_str() + additions.find("HOLDFAST_HELD=") + 14);
    for (const char* same :
         {"redis://cache:6379,b:7000", "redis://b:7000,cache/", "redis://ann@cache,b:7000/0"}) {
        EXPECT_TRUE(is_held_by_ancestor(list.c_str(), same, "n")) << same;
    }
    for (const char* other :
         {"redis://cache,b:7000/1", "redis://cache", "redis://cache,b:7001", "etcd://cache"}) {
        EXPECT_FALSE(is_held_by_ancestor(list.c_str(), other, "n")) << other;
    }
}

TEST(identity, of_a_store_is_the_same_for_all_its_spellings) {
    EXPECT_EQ(store_identity("etcd://h"), store_identity("etcd://u:p@H:2379/"));
    EXPECT_EQ(store_identity("etcd://localhost/ns"), store_identity("etcd://[::1]/ns"));
    EXPECT_NE(store_identity("etcd://h/ns"), store_identity("etcd://h"));
    EXPECT_NE(store_identity("etcd://h"), store_identity("redis://h"));
    EXPECT_EQ(store_identity("unix:///a?db=0"), store_identity("unix:///a"));
    EXPECT_NE(store_identity("unix:///a?db=1"), store_identity("unix:///a"));
    EXPECT_EQ(store_identity("redis-sentinel://h/?m=x"), store_identity("redis-sentinel://h:26379/?m=x"));
    EXPECT_EQ(store_identity("local:"), "local:/var/tmp/holdfast-" + std::to_string(::geteuid()));
    EXPECT_EQ(store_identity("local:/usr/../usr/"), store_identity("local:/usr"));
    EXPECT_EQ(store_identity("nonsense"), "nonsense");
}

TEST(environment, holds_the_four_promised_variables) {
    command_environment environment;
    environment.name = "n";
    environment.url = "redis://ann:***@h:6379/0";
    environment.token = 9007199254740993;
    environment.ttl = std::chrono::milliseconds(2500);
    const std::string additions = environment_additions(environment);
    using namespace std::string_literals;
    EXPECT_EQ(additions.substr(0, additions.find("HOLDFAST_HELD")),
              "HOLDFAST_NAME=n\0HOLDFAST_TOKEN=9007199254740993\0HOLDFAST_URL=redis://ann@h:6379/0\0"
              "HOLDFAST_TTL_MS=2500\0"s);
}

TEST(environment, has_no_ttl_where_there_is_none) {
    command_environment environment;
    environment.ttl = until_death;
    using namespace std::string_literals;
    EXPECT_NE(environment_additions(environment).find("\0HOLDFAST_TTL_MS=\0"s), std::string::npos);
}

TEST(environment, url_has_no_password_mark_that_would_be_taken_for_a_password) {
    EXPECT_EQ(without_password("redis://:***@h:6379"), "redis://h:6379");
    EXPECT_EQ(without_password("redis://ann:***@h"), "redis://ann@h");
    EXPECT_EQ(without_password("local:/a"), "local:/a");
}

} // namespace
} // namespace holdfast::cli
