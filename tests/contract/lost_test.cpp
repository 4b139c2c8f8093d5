// Who has asked for lost() hears that its hold was broken, on every store and in every way of taking it.
#include "contract/face_test.hpp"

#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

/// Where no message reaches the holder it hears of it by its next renewal, after a third of the TTL.
constexpr auto brisk = 6s;

class lost : public face_test {
  protected:
    static void expect_told(held& mine, const std::stop_token& watch) {
        EXPECT_TRUE(wait_for([&] { return watch.stop_requested(); }, 20s));
        EXPECT_TRUE(mine.reason() == loss_reason::broken || mine.reason() == loss_reason::revoked)
            << to_string(mine.reason());
        EXPECT_EQ(mine.valid_for(), 0ns);
        EXPECT_EQ(code_of(mine.release()), errc::lost);
    }
};

TEST_P(lost, who_holds_alone_is_told_when_its_hold_is_broken) {
    auto mine = connect({.ttl = brisk}).mutex(fresh()).acquire().value();
    const auto watch = mine.lost();
    EXPECT_FALSE(watch.stop_requested());
    ASSERT_EQ(connect().break_holds(fresh()).value(), 1U);
    expect_told(mine, watch);
}

TEST_P(lost, who_holds_while_others_wait_is_told_and_the_next_one_holds) {
    auto mine = connect({.ttl = brisk}).mutex(fresh()).acquire().value();
    const auto watch = mine.lost();
    const auto other = connect();
    std::jthread next([&] {
        auto theirs = other.mutex(fresh()).acquire();
        EXPECT_TRUE(theirs) << theirs.error().message();
    });
    ASSERT_TRUE(wait_for([&] { return in_line(other, fresh()) == 2U; }, 20s));
    EXPECT_FALSE(watch.stop_requested());
    ASSERT_EQ(connect().break_holds(fresh(), mine.token()).value(), 1U);
    expect_told(mine, watch);
}

TEST_P(lost, who_releases_in_time_is_told_nothing) {
    auto face = connect({.ttl = brisk}).mutex(fresh());
    auto mine = face.acquire().value();
    const auto watch = mine.lost();
    EXPECT_TRUE(mine.release());
    auto again = face.acquire().value();
    const auto anew = again.lost();
    ASSERT_EQ(connect().break_holds(fresh()).value(), 1U);
    expect_told(again, anew);
    EXPECT_FALSE(watch.stop_requested()) << "what was broken was another hold";
}

INSTANTIATE_TEST_SUITE_P(every, lost, ::testing::ValuesIn(all_worlds()), world_name);

} // namespace
} // namespace holdfast::testing
