#include "redis/resp.hpp"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::redis {
namespace {

using kind = reply::kind;

TEST(resp, replies_of_every_type_are_read) {
    reply_reader reader;
    ASSERT_TRUE(reader.feed("+OK\r\n:42\r\n-ERR no\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n"));
    EXPECT_EQ(reader.next()->text, "OK");
    EXPECT_EQ(reader.next()->integer, 42);
    EXPECT_TRUE(reader.next()->is_error("ERR"));
    EXPECT_EQ(reader.next()->type, kind::nil);
    EXPECT_EQ(reader.next()->type, kind::nil);
    EXPECT_EQ(reader.next()->type, kind::array);
    const auto last = reader.next();
    EXPECT_EQ(last->type, kind::string);
    EXPECT_EQ(last->text, "");
    EXPECT_FALSE(reader.next());
    EXPECT_FALSE(reader.broken());
}

TEST(resp, bytes_may_come_one_by_one) {
    const std::string wire =
        std::string("$3\r\na\0b\r\n", 9) + "*3\r\n:1\r\n*2\r\n+x\r\n$-1\r\n-NOAUTH wait\r\n";
    reply_reader reader;
    std::vector<reply> got;
    for (const char byte : wire) {
        ASSERT_TRUE(reader.feed(std::string_view(&byte, 1)));
        while (auto each = reader.next()) {
            got.push_back(std::move(*each));
        }
    }
    ASSERT_EQ(got.size(), 2U);
    EXPECT_EQ(got[0].text, std::string("a\0b", 3));
    ASSERT_EQ(got[1].items.size(), 3U);
    EXPECT_EQ(got[1].items[0].integer, 1);
    EXPECT_EQ(got[1].items[1].items[0].text, "x");
    EXPECT_EQ(got[1].items[1].items[1].type, kind::nil);
    EXPECT_TRUE(got[1].items[2].is_error("NOAUTH"));
    EXPECT_FALSE(got[1].items[2].is_error("NOA"));
}

TEST(resp, a_huge_count_is_refused_before_anything_is_allocated) {
    reply_reader reader;
    reader.feed("*2147483647\r\n");
    EXPECT_FALSE(reader.next());
    EXPECT_TRUE(reader.broken());
    EXPECT_FALSE(reader.feed("+OK\r\n"));
}

TEST(resp, many_small_arrays_do_not_get_past_the_limit_on_items) {
    reply_reader reader;
    std::string wire = "*1000\r\n";
    for (int i = 0; i < 1000; ++i) {
        wire += "*1000\r\n";
        for (int k = 0; k < 1000; ++k) {
            wire += ":1\r\n";
        }
    }
    bool accepted = false;
    for (std::size_t at = 0; at < wire.size() && reader.feed(std::string_view(wire).substr(at, 4096));
         at += 4096) {
        accepted = accepted || reader.next().has_value();
    }
    EXPECT_FALSE(accepted);
    EXPECT_TRUE(reader.broken());
}

TEST(resp, an_endless_string_is_given_up) {
    reply_reader reader;
    const std::string filler(1 << 16, 'x');
    reader.feed("$2000000000\r\n");
    std::size_t fed = 0;
    while (!reader.broken() && fed < 4 * reply_limits::bytes) {
        reader.feed(filler);
        fed += filler.size();
        EXPECT_FALSE(reader.next());
    }
    EXPECT_TRUE(reader.broken());
    EXPECT_LE(fed, reply_limits::bytes + filler.size());
}

TEST(resp, a_string_above_the_limit_is_refused_and_one_at_it_is_not) {
    for (const std::size_t size : {reply_limits::text_bytes, reply_limits::text_bytes + 1}) {
        reply_reader reader;
        reader.feed("$" + std::to_string(size) + "\r\n" + std::string(size, 'x') + "\r\n");
        const auto got = reader.next();
        EXPECT_EQ(got.has_value(), size == reply_limits::text_bytes);
        EXPECT_EQ(reader.broken(), size != reply_limits::text_bytes);
    }
}

TEST(resp, nesting_is_limited_to_seven_arrays) {
    for (const int depth : {reply_limits::depth, reply_limits::depth + 2}) {
        reply_reader reader;
        std::string wire;
        for (int i = 0; i < depth; ++i) {
            wire += "*1\r\n";
        }
        reader.feed(wire + ":1\r\n");
        const auto got = reader.next();
        EXPECT_EQ(got.has_value(), depth == reply_limits::depth) << depth;
        EXPECT_EQ(reader.broken(), depth != reply_limits::depth) << depth;
    }
}

TEST(resp, long_streams_of_short_replies_are_no_long_reply) {
    reply_reader reader;
    std::string wire;
    for (int i = 0; i < 10'000; ++i) {
        wire += "$100\r\n" + std::string(100, 'x') + "\r\n";
    }
    std::size_t count = 0;
    for (int round = 0; round < 20; ++round) {
        ASSERT_TRUE(reader.feed(wire));
        while (reader.next()) {
            ++count;
        }
        ASSERT_FALSE(reader.broken()) << reader.problem();
    }
    EXPECT_EQ(count, 200'000U);
}

TEST(resp, garbage_never_does_harm) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    constexpr std::string_view alphabet("*$+-:0123456789\r\n\r\nxyz\0", 23);
    for (int round = 0; round < 20'000; ++round) {
        reply_reader reader;
        std::string wire;
        for (auto left = random() % 40; left > 0; --left) {
            wire += alphabet[random() % alphabet.size()];
        }
        if (reader.feed(wire)) {
            while (reader.next()) {
            }
        }
    }
}

TEST(resp, commands_carry_any_bytes) {
    std::string out;
    append_command(out, {"SET", std::string_view("a\0\r\n", 4), ""});
    EXPECT_EQ(out, "*3\r\n$3\r\nSET\r\n$4\r\na" + std::string(1, '\0') + "\r\n\r\n$0\r\n\r\n");
}

} // namespace
} // namespace holdfast::redis
