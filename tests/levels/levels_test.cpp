// options::require against every topology of the table of levels: met, or refused with the reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include <holdfast/holdfast.hpp>

#include "support/servers.hpp"
#include "support/temp_dir.hpp"
#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using arguments = std::vector<std::string>;

/// What runs for one row of the table.
struct running {
    std::vector<std::shared_ptr<void>> parts;
    std::string url;
};

struct topology {
    std::string name;
    std::function<running()> start;
    level gives = level::efficiency;
    std::string why; ///< A part of the reason why not more.
};

running redis(const arguments& extra, const std::string& query = {}) {
    auto server = std::make_shared<redis_server>(extra);
    const std::string url = server->url() + query;
    return {.parts = {std::move(server)}, .url = url};
}

const arguments durable{"--appendonly", "yes", "--appendfsync", "always"};

arguments durable_and(const arguments& more) {
    arguments all = durable;
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

/// The traits of a store are known from its check on: connects until they are as meant.
running redis_with_replica() {
    auto master = std::make_shared<redis_server>(durable_and({"--repl-diskless-sync-delay", "0"}));
    const std::string url = master->url();
    auto replica = std::make_shared<redis_server>(
        arguments{"--replicaof", "127.0.0.1 " + std::to_string(master->port())});
    EXPECT_TRUE(wait_for([&] { return connect(url).traits().gives == level::efficiency; }, 15s));
    return {.parts = {std::move(master), std::move(replica)}, .url = url};
}

const std::vector<topology>& table() {
    static const std::vector<topology> rows{
        {"local",
         [] {
             auto folder = std::make_shared<temp_dir>("holdfast-levels");
             const std::string url = "local:" + folder->path().string();
             return running{.parts = {std::move(folder)}, .url = url};
         },
         level::fenced,
         {}},
        {"etcd",
         [] {
             auto server = std::make_shared<etcd_server>();
             const std::string url = server->url();
             return running{.parts = {std::move(server)}, .url = url};
         },
         level::fenced,
         {}},
        {"redis_always", [] { return redis(durable); }, level::fenced, {}},
        {"redis_everysec",
         [] {
             return redis({"--appendonly", "yes", "--appendfsync", "everysec"});
         },
         level::efficiency, "appendfsync is 'everysec'"},
        {"redis_without_aof", [] { return redis({}); }, level::efficiency, "appendonly is 'no'"},
        {"redis_that_evicts",
         [] {
             return redis(durable_and({"--maxmemory-policy", "allkeys-lru"}));
         },
         level::efficiency, "maxmemory-policy is 'allkeys-lru'"},
        {"redis_with_replica", redis_with_replica, level::efficiency, "replicas"},
        {"redis_that_tells_nothing",
         [] {
             return redis(durable_and({"--rename-command", "CONFIG", ""}));
         },
         level::efficiency, "cannot be read"},
        {"redis_assumed_exclusive",
         [] {
             return redis(durable_and({"--rename-command", "CONFIG", ""}), "?assume=exclusive");
         },
         level::exclusive, "is assumed"},
        {"redis_assumed_fenced",
         [] {
             return redis(durable_and({"--rename-command", "CONFIG", ""}), "?assume=fenced");
         },
         level::fenced,
         {}},
    };
    return rows;
}

class levels : public ::testing::TestWithParam<topology> {};

TEST_P(levels, are_given_or_refused_with_the_reason) {
    const topology& row = GetParam();
    const running servers = row.start();
    for (const level wanted : {level::efficiency, level::exclusive, level::fenced}) {
        const auto connected = try_connect(servers.url, {.require = wanted});
        if (wanted <= row.gives) {
            ASSERT_TRUE(connected) << connected.error().message();
            EXPECT_EQ(connected->traits().gives, row.gives);
            EXPECT_THAT(connected->traits().why, ::testing::HasSubstr(row.why));
            EXPECT_EQ(connected->traits().why.empty(), row.gives == level::fenced);
            continue;
        }
        ASSERT_FALSE(connected) << to_string(wanted) << " on a topology that cannot give it";
        EXPECT_EQ(connected.error().code(), errc::level_not_met);
        const std::string& text = connected.error().message();
        EXPECT_THAT(text, ::testing::HasSubstr("'" + std::string(to_string(wanted)) + "' is required"));
        EXPECT_THAT(text, ::testing::HasSubstr("'" + std::string(to_string(row.gives)) + "'"));
        EXPECT_THAT(text, ::testing::HasSubstr(row.why));
    }
}

INSTANTIATE_TEST_SUITE_P(table, levels, ::testing::ValuesIn(table()),
                         [](const auto& row) { return row.param.name; });

} // namespace
} // namespace holdfast::testing
