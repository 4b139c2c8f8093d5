// The checker finds what it is there for: a checker that is silent proves nothing.
#include "history.hpp"

#include <gtest/gtest.h>

namespace holdfast::chaos {
namespace {

using namespace std::chrono_literals;

turn from_to(int acquired, int ended, std::uint64_t token, std::uint32_t weight = 1) {
    const auto ms = [](int count) { return instant(std::chrono::milliseconds(count)); };
    return {ms(acquired - 1), ms(acquired), ms(ended), token, weight, {}};
}

std::size_t broken_of(const promise& what, std::vector<turn> turns) {
    return broken_promises(what, std::move(turns)).size();
}

TEST(chaos_history, a_good_one_is_not_blamed) {
    const promise mutex{.name = "mutex"};
    EXPECT_EQ(broken_of(mutex, {}), 0U);
    EXPECT_EQ(broken_of(mutex, {from_to(30, 40, 9), from_to(10, 20, 3), from_to(20, 30, 4)}), 0U);
    const promise permits{.name = "permits", .capacity = 3, .one_at_a_time = false};
    EXPECT_EQ(broken_of(permits, {from_to(10, 30, 3), from_to(10, 20, 4, 2), from_to(20, 40, 5, 2)}), 0U);
}

TEST(chaos_history, two_holders_at_once_are_found) {
    const promise mutex{.name = "mutex"};
    EXPECT_EQ(broken_of(mutex, {from_to(10, 20, 3), from_to(19, 30, 4)}), 1U);
    const promise permits{.name = "permits", .capacity = 3, .one_at_a_time = false};
    EXPECT_EQ(broken_of(permits, {from_to(10, 30, 3, 2), from_to(10, 20, 4, 2)}), 1U);
}

TEST(chaos_history, a_hold_that_was_revoked_may_last_a_little_longer) {
    auto revoked = from_to(10, 24, 3);
    revoked.overlap = 5ms;
    EXPECT_EQ(broken_of({.name = "mutex"}, {revoked, from_to(20, 30, 4)}), 0U);
    revoked.ended += 2ms;
    EXPECT_EQ(broken_of({.name = "mutex"}, {revoked, from_to(20, 30, 4)}), 1U);
}

TEST(chaos_history, a_token_that_was_given_twice_is_found) {
    EXPECT_EQ(broken_of({.name = "mutex"}, {from_to(10, 20, 3), from_to(20, 30, 3)}), 1U);
}

TEST(chaos_history, tokens_that_go_back_are_found) {
    EXPECT_EQ(broken_of({.name = "mutex"}, {from_to(10, 20, 4), from_to(30, 40, 3), from_to(50, 60, 5)}),
              0U + 1U);
    const promise permits{.name = "permits", .capacity = 3, .one_at_a_time = false};
    EXPECT_EQ(broken_of(permits, {from_to(10, 20, 4), from_to(30, 40, 3)}), 1U);
}

} // namespace
} // namespace holdfast::chaos
