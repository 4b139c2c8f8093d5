#include "redis/who.hpp"
#include "redis/words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::redis {
namespace {

error meaning(std::string text) {
    reply got;
    got.type = reply::kind::error;
    got.text = std::move(text);
    settings where;
    where.host = "db.example";
    where.password = "hunter2";
    return error_of(got, where);
}

TEST(words, refusals_are_told_apart_and_name_the_server_and_a_remedy) {
    EXPECT_EQ(meaning("NOAUTH Authentication required.").code(), errc::unauthorized);
    EXPECT_EQ(meaning("WRONGPASS invalid username-password pair or user is disabled.").code(),
              errc::unauthorized);
    EXPECT_EQ(meaning("ERR invalid password").code(), errc::unauthorized);
    const error right = meaning("NOPERM this user has no permissions to run the 'evalsha' command");
    EXPECT_EQ(right.code(), errc::unauthorized);
    EXPECT_THAT(right.message(), testing::HasSubstr("ACL SETUSER"));
    EXPECT_THAT(right.message(), testing::HasSubstr("db.example:6379"));
    for (const char* text :
         {"MISCONF Redis is configured to save RDB snapshots", "OOM command not allowed",
          "READONLY You can't write against a read only replica.", "LOADING Redis is loading"}) {
        EXPECT_EQ(meaning(text).code(), errc::unavailable) << text;
        EXPECT_THAT(meaning(text).message(), testing::HasSubstr(text));
    }
    EXPECT_EQ(meaning("MOVED 3999 127.0.0.1:6381").code(), errc::config);
    EXPECT_THAT(meaning("NOAUTH").message(), testing::Not(testing::HasSubstr("hunter2")));
}

TEST(words, a_note_survives_its_journey_and_garbage_is_no_note) {
    const holder_info who{.user = "ann", .host = "h1", .pid = 42, .command = "job \xff", .why = "nightly"};
    const auto back = read_note(write_note(who));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->user, "ann");
    EXPECT_EQ(back->pid, 42);
    EXPECT_EQ(back->why, "nightly");
    for (const char* text : {"", "[]", "7", "{", "{\"pid\":", "\"x\""}) {
        EXPECT_FALSE(read_note(text)) << text;
    }
    const auto odd = read_note(R"({"user":7,"pid":"x","why":null})");
    ASSERT_TRUE(odd);
    EXPECT_EQ(odd->pid, 0);
    EXPECT_EQ(odd->user, "");
}

} // namespace
} // namespace holdfast::redis
