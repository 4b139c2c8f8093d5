// What an etcd URL, the options and the ETCDCTL_* variables come to.
#include "etcd/settings.hpp"

#include <map>

#include <gtest/gtest.h>

namespace holdfast::etcd {
namespace {

using variables = std::map<std::string, std::string>;

result<settings> judged(const std::string& url, const variables& set = {}) {
    core::store_config config;
    config.url = core::parse_url(url).value();
    config.op_timeout = std::chrono::seconds(5);
    return make_settings(config, [set](const char* name) {
        const auto found = set.find(name);
        return found == set.end() ? std::string() : found->second;
    });
}

using list = std::vector<std::string>;

TEST(etcd_settings, endpoints_have_a_default_port_and_the_path_is_a_namespace) {
    const auto how = judged("etcd://one,two:4001,[::1]:5/team");
    ASSERT_TRUE(how);
    EXPECT_EQ(how->endpoints, (list{"one:2379", "two:4001", "[::1]:5"}));
    EXPECT_EQ(how->space, "team/");
    EXPECT_FALSE(how->tls);
}

TEST(etcd_settings, etcdctl_variables_fill_what_the_url_leaves_open) {
    const auto how = judged("etcd://one", {{"ETCDCTL_USER", "ann:secret"}, {"ETCDCTL_ENDPOINTS", "two:1"}});
    ASSERT_TRUE(how);
    EXPECT_EQ(how->endpoints, list{"one:2379"}) << "a host in the URL wins";
    EXPECT_EQ(how->user, "ann");
    EXPECT_EQ(how->password, "secret");
    const auto apart = judged("etcd://one", {{"ETCDCTL_USER", "ann"}, {"ETCDCTL_PASSWORD", "other"}});
    ASSERT_TRUE(apart);
    EXPECT_EQ(apart->password, "other");
    const auto own = judged("etcd://bob:own@one", {{"ETCDCTL_USER", "ann:secret"}});
    ASSERT_TRUE(own);
    EXPECT_EQ(own->user, "bob");
    EXPECT_EQ(own->password, "own");
}

TEST(etcd_settings, a_user_without_a_password_is_a_configuration_error) {
    const auto how = judged("etcd://one", {{"ETCDCTL_USER", "ann"}});
    ASSERT_FALSE(how);
    EXPECT_EQ(how.error().code(), errc::config);
}

TEST(etcd_settings, files_that_cannot_be_used_are_named) {
    const auto missing = judged("etcds://one", {{"ETCDCTL_CACERT", "/no/such/file.pem"}});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code(), errc::config);
    EXPECT_NE(missing.error().message().find("/no/such/file.pem"), std::string::npos);
    const auto no_pem = judged("etcds://one", {{"ETCDCTL_CACERT", "/proc/self/status"}});
    ASSERT_FALSE(no_pem);
    EXPECT_NE(no_pem.error().message().find("not a PEM file"), std::string::npos);
    EXPECT_TRUE(judged("etcd://one", {{"ETCDCTL_CACERT", "/no/such/file.pem"}}))
        << "without TLS nobody reads it";
}

TEST(etcd_settings, unknown_url_options_are_refused) {
    const auto how = judged("etcd://one?assume=fenced");
    ASSERT_FALSE(how);
    EXPECT_NE(how.error().message().find("'assume'"), std::string::npos);
}

} // namespace
} // namespace holdfast::etcd
