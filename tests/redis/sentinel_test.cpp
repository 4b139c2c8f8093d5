// Behind Sentinel: the master is found, and found again after a failover.
#include "fixture.hpp"

#include <fstream>
#include <future>

#include "redis/sentinel.hpp"

namespace holdfast::testing {
namespace {

class sentinel_server final : public server_process {
  public:
    explicit sentinel_server(std::uint16_t master)
        : server_process("sentinel", "+monitor master", SIGTERM), master_(master) {
        first_start();
    }
    ~sentinel_server() override { stop(); }

    std::string url() const {
        return "redis-sentinel://127.0.0.1:1,127.0.0.1:" + std::to_string(port()) + "/?sentinelMasterId=ours";
    }

  private:
    std::vector<std::string> command() const override {
        const auto file = folder() / "sentinel.conf";
        std::ofstream(file) << "port " << port() << "\nbind 127.0.0.1\nprotected-mode no\ndir "
                            << folder().string() << "\nsentinel monitor ours 127.0.0.1 " << master_
                            << " 1\nsentinel down-after-milliseconds ours 500\n"
                               "sentinel failover-timeout ours 3000\n";
        return {"redis-server", file.string(), "--sentinel"};
    }

    const std::uint16_t master_;
};

/// What the server says it is; nothing while a failover cuts its clients off, as Sentinel does to those of
/// the new master.
std::string role(std::uint16_t port) {
    try {
        return raw_client(port)({"ROLE"}).items.at(0).text;
    } catch (const std::runtime_error&) {
        return {};
    }
}

class behind_sentinel : public ::testing::Test {
  protected:
    void SetUp() override {
        raw_client asks(sentinel_.port());
        ASSERT_TRUE(wait_for(
            [&] {
                const std::string replication = raw_client(replica_.port()).text({"INFO", "replication"});
                return asks({"SENTINEL", "replicas", "ours"}).items.size() == 1 &&
                       replication.find("master_link_status:up") != std::string::npos;
            },
            30s))
            << "the sentinel did not find the replica";
    }

    redis_server master_;
    redis_server replica_{{"--replicaof", "127.0.0.1 " + std::to_string(master_.port())}};
    sentinel_server sentinel_{master_.port()};
};

TEST_F(behind_sentinel, a_lock_works_and_its_level_is_told) {
    auto locks = holdfast::connect(sentinel_.url());
    auto held = locks.mutex("a").acquire();
    ASSERT_TRUE(held) << held.error().message();
    EXPECT_EQ(raw_client(master_.port()).number({"EXISTS", "a"}), 1);
    EXPECT_TRUE(held->release());
    const auto refused = try_connect(sentinel_.url(), {.require = level::exclusive});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), errc::level_not_met);
    EXPECT_THAT(refused.error().message(), ::testing::HasSubstr("Sentinel"));
}

// 27, 41: waiters are served by the new master, whose tokens still rise.
TEST_F(behind_sentinel, after_a_failover_waiters_are_served_by_the_new_master) {
    auto locks = holdfast::connect(sentinel_.url(), {.ttl = 3s});
    auto held = locks.mutex("a").acquire();
    ASSERT_TRUE(held);
    const token first = held->token();
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("a").try_acquire_for(60s); });
    raw_client raw(master_.port());
    ASSERT_TRUE(wait_for([&] { return raw.number({"LLEN", "holdfast:{a}:a:l"}) == 1; }, 5s));
    EXPECT_EQ(raw.number({"WAIT", "1", "5000"}), 1);
    master_.kill();
    ASSERT_TRUE(wait_for([&] { return role(replica_.port()) == "master"; }, 30s));
    static_cast<void>(held->release());
    ASSERT_EQ(waiter.wait_for(60s), std::future_status::ready);
    auto next = waiter.get();
    ASSERT_TRUE(next) << next.error().message();
    EXPECT_GT(next->token(), first);
    EXPECT_EQ(raw_client(replica_.port()).number({"EXISTS", "a"}), 1);
}

TEST(sentinel, an_unknown_master_and_a_missing_sentinel_are_named) {
    redis_server master;
    sentinel_server sentinel(master.port());
    const std::string at = std::to_string(sentinel.port());
    auto outcome = try_connect("redis+sentinel://127.0.0.1:" + at + "/theirs", {.op_timeout = 2s});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code(), errc::unavailable);
    EXPECT_THAT(outcome.error().message(), ::testing::HasSubstr("theirs"));
    outcome = try_connect("redis-sentinel://127.0.0.1:1/?sentinelMasterId=ours", {.op_timeout = 2s});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code(), errc::unavailable);
    EXPECT_THAT(outcome.error().message(), ::testing::HasSubstr("127.0.0.1:1"));
    EXPECT_EQ(try_connect("redis-sentinel://127.0.0.1:" + at).error().code(), errc::config);
}

TEST(sentinel, only_an_address_is_taken_for_one) {
    using redis::reply;
    using redis::sentinel_search;
    const auto text = [](std::string words) {
        reply made;
        made.type = reply::kind::string;
        made.text = std::move(words);
        return made;
    };
    reply pair;
    pair.type = reply::kind::array;
    pair.items = {text("10.0.0.1"), text("6379")};
    EXPECT_EQ(sentinel_search::read(pair)->port, 6379);
    for (const char* const port : {"", "0", "65536", "-1", "6379x", " 6379", "99999999999999999999"}) {
        pair.items[1] = text(port);
        EXPECT_FALSE(sentinel_search::read(pair)) << port;
    }
    pair.items = {text(""), text("6379")};
    EXPECT_FALSE(sentinel_search::read(pair));
    pair.items.push_back(text("1"));
    EXPECT_FALSE(sentinel_search::read(pair));
    EXPECT_FALSE(sentinel_search::read(reply{}));
}

} // namespace
} // namespace holdfast::testing
