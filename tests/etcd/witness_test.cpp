// Another cluster, or an older state of the same, is recognised; answers that merely overtake each other are
// not.
#include "etcd/witness.hpp"

#include <gtest/gtest.h>

namespace holdfast::etcd {
namespace {

TEST(etcd_witness, answers_that_overtake_each_other_are_fine) {
    witness seen;
    EXPECT_TRUE(seen.accept({7, 100}, 0));
    const std::int64_t sent_at = seen.floor();
    EXPECT_TRUE(seen.accept({7, 120}, sent_at));
    EXPECT_TRUE(seen.accept({7, 110}, sent_at)) << "asked before 120 was known";
    EXPECT_EQ(seen.floor(), 120);
}

TEST(etcd_witness, a_revision_that_goes_back_is_told_once) {
    witness seen;
    EXPECT_TRUE(seen.accept({7, 100}, 0));
    const std::int64_t sent_at = seen.floor();
    EXPECT_FALSE(seen.accept({7, 60}, sent_at));
    EXPECT_TRUE(seen.accept({7, 61}, sent_at)) << "the new state counts from then on";
    EXPECT_EQ(seen.floor(), 61);
}

TEST(etcd_witness, another_cluster_is_told_once) {
    witness seen;
    EXPECT_TRUE(seen.same_cluster({7, 100}));
    EXPECT_FALSE(seen.same_cluster({8, 500}));
    EXPECT_TRUE(seen.same_cluster({8, 500}));
    EXPECT_FALSE(seen.accept({7, 100}, 0));
}

} // namespace
} // namespace holdfast::etcd
