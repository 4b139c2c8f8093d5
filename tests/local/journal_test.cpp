// The checker must see what it is there to see.
#include "local/journal.hpp"

#include <gmock/gmock.h>

namespace holdfast::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(journal_checker, accepts_one_after_another) {
    EXPECT_THAT(violations({{1, 10, 100, 200}, {2, 11, 200, 300}}, 1), IsEmpty());
}

TEST(journal_checker, sees_two_holders) {
    EXPECT_THAT(violations({{1, 10, 100, 200}, {2, 11, 199, 300}}, 1), HasSubstr("2 holds at once"));
}

TEST(journal_checker, allows_as_many_as_the_capacity) {
    EXPECT_THAT(violations({{1, 10, 100, 200}, {2, 11, 150, 300}}, 2), IsEmpty());
}

TEST(journal_checker, sees_a_token_that_goes_back) {
    EXPECT_THAT(violations({{1, 10, 300, 400}, {2, 11, 100, 200}}, 1), HasSubstr("tokens against time"));
}

TEST(journal_checker, sees_a_token_given_twice) {
    EXPECT_THAT(violations({{1, 10, 100, 200}, {2, 10, 300, 400}}, 1), HasSubstr("one token twice"));
}

} // namespace
} // namespace holdfast::testing
