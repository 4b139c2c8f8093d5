// The checker must see what it is there to see.
#include "local/journal.hpp"

#include <gmock/gmock.h>

namespace holdfast::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(journal_checker, accepts_one_after_another) {
    EXPECT_THAT(violations({{1, 1, 10, 100, 200}, {2, 1, 11, 200, 300}}, 1), IsEmpty());
}

TEST(journal_checker, sees_two_holders) {
    EXPECT_THAT(violations({{1, 1, 10, 100, 200}, {2, 1, 11, 199, 300}}, 1), HasSubstr("2 holds at once"));
}

TEST(journal_checker, allows_as_many_as_the_capacity) {
    EXPECT_THAT(violations({{1, 1, 10, 100, 200}, {2, 1, 11, 150, 300}}, 2), IsEmpty());
}

TEST(journal_checker, sees_a_token_that_goes_back) {
    EXPECT_THAT(violations({{1, 1, 10, 300, 400}, {2, 1, 11, 100, 200}}, 1),
                HasSubstr("tokens against time"));
}

TEST(journal_checker, sees_a_token_given_twice) {
    EXPECT_THAT(violations({{1, 1, 10, 100, 200}, {2, 1, 10, 300, 400}}, 1), HasSubstr("one token twice"));
}

TEST(journal_checker, sees_who_holds_alone_beside_one_who_shares) {
    EXPECT_THAT(violations({{1, 1, 10, 100, 200}, {2, 9, 11, 199, 300}}, 9), HasSubstr("2 holds at once"));
    EXPECT_THAT(violations({{1, 9, 10, 100, 200}, {2, 1, 11, 199, 300}}, 9), HasSubstr("2 holds at once"));
}

TEST(journal_checker, sees_too_many_permits_taken_by_few) {
    EXPECT_THAT(violations({{1, 2, 10, 100, 200}, {2, 1, 11, 150, 300}}, 3), IsEmpty());
    EXPECT_THAT(violations({{1, 2, 10, 100, 200}, {2, 2, 11, 150, 300}}, 3), HasSubstr("2 holds at once"));
}

TEST(journal_checker, judges_every_name_for_itself) {
    EXPECT_THAT(violations({{1, 9, 10, 100, 200, 3}, {2, 9, 10, 150, 300, 4}}, 9), IsEmpty());
    EXPECT_THAT(violations({{1, 9, 10, 100, 200, 3}, {2, 9, 11, 100, 140, 4}, {3, 9, 12, 130, 200, 4}}, 9),
                HasSubstr("2 holds at once"));
}

TEST(journal_checker, lets_those_who_share_run_in_any_order_but_not_past_one_who_holds_alone) {
    EXPECT_THAT(violations({{1, 1, 10, 300, 400}, {2, 1, 11, 100, 200}}, 9), IsEmpty());
    EXPECT_THAT(violations({{1, 9, 10, 300, 400}, {2, 1, 11, 100, 200}}, 9),
                HasSubstr("tokens against time"));
    EXPECT_THAT(violations({{1, 1, 10, 300, 400}, {2, 9, 11, 100, 200}}, 9),
                HasSubstr("tokens against time"));
}

} // namespace
} // namespace holdfast::testing
