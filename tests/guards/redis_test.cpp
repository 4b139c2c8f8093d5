// The guarded write on a real Redis.
#include <gtest/gtest.h>

#include <holdfast/guard.hpp>
#include <holdfast/holdfast.hpp>

#include "guards/code_of.hpp"
#include "redis/raw_client.hpp"
#include "support/servers.hpp"

namespace holdfast::testing {
namespace {

class redis_guards : public ::testing::Test {
  protected:
    std::string field(const std::string& name) { return client.text({"HGET", "data", name}); }
    result<void> write(const redis_write& what) { return judge_redis(client.number(what.command())); }
    /// The same write with another token.
    static redis_write with_token(redis_write what, const std::string& token) {
        what.arguments[0] = token;
        return what;
    }

    redis_server server;
    raw_client client{server.port()};
    locks ann = connect(server.url());
    locks bob = connect(server.url());
};

TEST_F(redis_guards, the_data_refuse_a_stale_writer) {
    auto first = ann.mutex("x").acquire().value();
    const auto in_time = guard_redis(first, "data", {{"a", "1"}, {"b", "2"}}).value();
    const auto too_late = guard_redis(first, "data", {{"a", "stale"}}).value();
    EXPECT_EQ(code_of(write(in_time)), std::nullopt);
    EXPECT_EQ(code_of(write(in_time)), std::nullopt) << "the same holder writes again";
    EXPECT_TRUE(first.release());
    auto second = bob.mutex("x").acquire().value();
    EXPECT_EQ(code_of(write(guard_redis(second, "data", {}).value())), std::nullopt);
    EXPECT_EQ(code_of(write(too_late)), errc::lost) << "a stale write after the mark was raised";
    EXPECT_EQ(field("a"), "1");
    EXPECT_EQ(field("b"), "2");
    EXPECT_EQ(code_of(write(guard_redis(second, "data", {{"a", "3"}}).value())), std::nullopt);
    EXPECT_EQ(code_of(write(too_late)), errc::lost);
    EXPECT_EQ(field("a"), "3");
}

TEST_F(redis_guards, tokens_beyond_the_exact_numbers_of_lua_are_told_apart) {
    const auto hold = ann.mutex("x").acquire().value();
    const auto some = guard_redis(hold, "data", {{"a", "1"}}).value();
    EXPECT_EQ(code_of(write(with_token(some, "999"))), std::nullopt);
    EXPECT_EQ(code_of(write(with_token(some, "1000"))), std::nullopt) << "longer is larger";
    EXPECT_EQ(code_of(write(with_token(some, "999"))), errc::lost);
    EXPECT_EQ(code_of(write(with_token(some, "9223372036854775806"))), std::nullopt);
    EXPECT_EQ(code_of(write(with_token(some, "9223372036854775805"))), errc::lost);
    EXPECT_EQ(code_of(write(with_token(some, "9223372036854775807"))), std::nullopt);
    EXPECT_EQ(code_of(write(with_token(some, "9223372036854775806"))), errc::lost);
}

TEST_F(redis_guards, one_token_of_two_owners_lets_the_first_one_write) {
    const auto hold = ann.mutex("x").acquire().value();
    const auto mine = guard_redis(hold, "data", {{"a", "1"}}).value();
    auto other = mine;
    other.arguments[1] = "another";
    EXPECT_EQ(code_of(write(mine)), std::nullopt);
    EXPECT_EQ(code_of(write(other)), errc::lost);
}

TEST_F(redis_guards, a_key_that_is_no_guarded_hash_is_left_alone) {
    const auto hold = ann.mutex("x").acquire().value();
    client({"SET", "plain", "text"});
    const auto to_string = client(guard_redis(hold, "plain", {{"a", "1"}}).value().command());
    EXPECT_TRUE(to_string.is_error()) << to_string.text;
    EXPECT_EQ(client.text({"GET", "plain"}), "text");
    client({"HSET", "data", "fence", "soon"});
    const auto odd_mark = client(guard_redis(hold, "data", {{"a", "1"}}).value().command());
    EXPECT_TRUE(odd_mark.is_error());
    EXPECT_EQ(client.number({"HEXISTS", "data", "a"}), 0);
}

} // namespace
} // namespace holdfast::testing
