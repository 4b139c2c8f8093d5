#include "core/lease.hpp"

#include <gtest/gtest.h>

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;

constexpr instant at(std::chrono::nanoseconds since) {
    return instant(since);
}

TEST(lease, counts_from_before_the_request_less_drift_and_margin) {
    EXPECT_EQ(deadline_of(at(100s), 10s), at(100s + 9900ms - 2ms));
}

TEST(lease, until_death_there_is_no_deadline_but_an_end) {
    lease under_test;
    under_test.start(deadline_of(at(100s), until_death));
    EXPECT_EQ(under_test.remaining(at(200s)), until_death);
    EXPECT_EQ(under_test.remaining(instant::max() - 1ns), until_death);
    EXPECT_TRUE(under_test.extend(at(300s), deadline_of(at(300s), until_death)));
    EXPECT_EQ(under_test.remaining(at(400s)), until_death);
    under_test.end();
    EXPECT_EQ(under_test.remaining(at(400s)), 0s);
    EXPECT_FALSE(under_test.extend(at(500s), deadline_of(at(500s), until_death)));
}

TEST(lease, has_what_is_left_until_the_deadline_and_nothing_after_it) {
    lease under_test;
    under_test.start(at(10s));
    EXPECT_EQ(under_test.remaining(at(4s)), 6s);
    EXPECT_EQ(under_test.remaining(at(10s)), 0s);
}

TEST(lease, a_success_after_the_deadline_revives_nothing) {
    lease under_test;
    under_test.start(at(10s));
    EXPECT_FALSE(under_test.extend(at(10s), at(20s)));
    EXPECT_EQ(under_test.remaining(at(11s)), 0s);
}

TEST(lease, once_seen_expired_it_stays_expired) {
    lease under_test;
    under_test.start(at(10s));
    EXPECT_EQ(under_test.remaining(at(12s)), 0s);
    // A renewal that had read its clock before the deadline and is only now written down.
    EXPECT_FALSE(under_test.extend(at(9s), at(20s)));
    EXPECT_EQ(under_test.remaining(at(9s)), 0s);
}

TEST(lease, is_extended_in_time_and_never_shortened) {
    lease under_test;
    under_test.start(at(10s));
    EXPECT_TRUE(under_test.extend(at(5s), at(15s)));
    EXPECT_TRUE(under_test.extend(at(6s), at(12s)));
    EXPECT_EQ(under_test.remaining(at(6s)), 9s);
}

TEST(lease, ended_by_proof_it_stays_ended) {
    lease under_test;
    under_test.start(at(10s));
    under_test.end();
    EXPECT_EQ(under_test.remaining(at(1s)), 0s);
    EXPECT_FALSE(under_test.extend(at(1s), at(20s)));
}

} // namespace
} // namespace holdfast::core
