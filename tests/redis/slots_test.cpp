#include "redis/slots.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace holdfast::redis {
namespace {

TEST(slots, the_specification_s_own_examples) {
    EXPECT_EQ(slot_of("123456789"), 0x31C3U % slot_count);
    EXPECT_EQ(hashed_part("{user1000}.following"), "user1000");
    EXPECT_EQ(hashed_part("foo{}{bar}"), "foo{}{bar}");
    EXPECT_EQ(hashed_part("foo{{bar}}zap"), "{bar");
    EXPECT_EQ(hashed_part("foo{bar}{zap}"), "bar");
    EXPECT_EQ(hashed_part("foo{bar"), "foo{bar");
    EXPECT_EQ(hashed_part("foo}bar{x"), "foo}bar{x");
}

TEST(slots, an_ordinary_name_is_easy_to_read_in_its_line) {
    EXPECT_EQ(line_key("db-pool"), "holdfast:{db-pool}:db-pool:l");
    EXPECT_EQ(line_key("{user}:cart"), "holdfast:{user}:{user}:cart:l");
}

// Names made of what could go wrong: braces, our own separators and suffixes, NUL, newlines.
std::string hostile_name(std::mt19937& random) {
    static const std::vector<std::string> parts{
        "{",  "}",  "{}", "}:", ":l", ":d",         "a",
        "b",  "{a", "a}", ":",  "::", "holdfast:{", std::string(1, '\0'),
        "\n", "0"};
    std::string name;
    for (auto left = 1 + random() % 6; left > 0; --left) {
        name += parts[random() % parts.size()];
    }
    return name;
}

TEST(slots, a_line_lives_in_the_slot_of_its_gate_and_belongs_to_one_name_only) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::map<std::string, std::string> owners;
    for (int i = 0; i < 20'000; ++i) {
        const std::string name = hostile_name(random);
        const std::string key = line_key(name);
        ASSERT_EQ(slot_of(key), slot_of(name)) << name << " and " << key;
        const auto parts = parse_line_key(key);
        ASSERT_TRUE(parts);
        EXPECT_EQ(parts->name, name);
        EXPECT_EQ(parts->part, 'l');
        for (const char letter : {'l', 'd', 'e', 's'}) {
            std::string companion = key;
            companion.back() = letter;
            const auto [at, fresh] = owners.emplace(companion, name);
            ASSERT_EQ(at->second, name) << "two names share " << companion;
        }
    }
    // The same names, taken as keys, are never one of our own keys unless they are refused.
    for (const auto& [key, name] : owners) {
        EXPECT_TRUE(key.starts_with(own_prefix));
    }
}

TEST(slots, every_slot_has_a_stand_in) {
    std::mt19937 random(7);
    for (int i = 0; i < 40'000; ++i) {
        const std::string name = std::to_string(random()) + "}";
        ASSERT_EQ(slot_of(line_key(name)), slot_of(name));
    }
}

TEST(slots, other_keys_are_not_taken_for_lines) {
    for (const std::string_view key :
         {"", "holdfast:", "holdfast:{", "holdfast:{a", "holdfast:{a}", "holdfast:{a}:", "holdfast:{a}::l",
          "holdfast:{a}:a", "holdfast:session:00", "other:{a}:a:l"}) {
        EXPECT_FALSE(parse_line_key(key)) << key;
    }
}

} // namespace
} // namespace holdfast::redis
