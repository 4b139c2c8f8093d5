// What a watch of one key says about the claim whose key it is.
#include "etcd/own_key.hpp"

#include <gtest/gtest.h>

#include "etcd/keys.hpp"

namespace holdfast::etcd {
namespace {

constexpr std::int64_t lease = 7;
constexpr std::int64_t born = 40;
using kind = verdict::kind;

std::shared_ptr<record> some_claim() {
    const claim what{.name = resource_name::make("n").value(), .id = {}};
    return std::make_shared<record>("n/", claim_key("n/", lease, what), what);
}

own_key followed() {
    return {some_claim(), born};
}

key_value standing_at(std::int64_t revision, std::int64_t under = lease) {
    return {.key = some_claim()->key,
            .value = {},
            .create_revision = born,
            .mod_revision = revision,
            .lease = under};
}

watch_event put(key_value kv) {
    return {.deleted = false, .kv = std::move(kv)};
}

watch_event gone_at(std::int64_t revision) {
    return {.deleted = true,
            .kv = {.key = some_claim()->key,
                   .value = {},
                   .create_revision = 0,
                   .mod_revision = revision,
                   .lease = 0}};
}

range_reply reading(std::int64_t revision, std::vector<key_value> kvs) {
    return {.head = {.cluster_id = 1, .revision = revision}, .kvs = std::move(kvs)};
}

TEST(etcd_own_key, a_claim_stands_until_its_key_leaves) {
    own_key one = followed();
    EXPECT_EQ(one.apply({put(standing_at(born)), put(standing_at(50))}), std::nullopt);
    EXPECT_EQ(one.judge(reading(60, {standing_at(50)})), std::nullopt);
    EXPECT_EQ(one.apply({gone_at(61)}), kind::gone);
}

// The key of an earlier claim of the same session and name is used again.
TEST(etcd_own_key, the_end_of_the_claim_before_is_not_its_own) {
    own_key one = followed();
    EXPECT_EQ(one.apply({gone_at(born - 1), put(standing_at(born))}), std::nullopt);
    key_value earlier = standing_at(born - 2);
    earlier.create_revision = born - 2;
    EXPECT_EQ(one.apply({put(earlier)}), std::nullopt);
}

TEST(etcd_own_key, a_key_that_somebody_put_there_afterwards_is_not_the_claim) {
    key_value later = standing_at(52);
    later.create_revision = 52;
    EXPECT_EQ(followed().apply({put(later)}), kind::gone);
    EXPECT_EQ(followed().judge(reading(60, {later})), kind::gone);
}

TEST(etcd_own_key, what_had_been_moved_to_another_lease_was_broken) {
    own_key one = followed();
    EXPECT_EQ(one.apply({put(standing_at(50, lease + 1))}), std::nullopt);
    EXPECT_EQ(one.apply({gone_at(51)}), kind::broken);

    own_key read = followed();
    EXPECT_EQ(read.judge(reading(60, {standing_at(50, lease + 1)})), std::nullopt);
    EXPECT_EQ(read.judge(reading(61, {})), kind::broken);

    own_key both_at_once = followed();
    EXPECT_EQ(both_at_once.apply({put(standing_at(50, lease + 1)), gone_at(51)}), kind::broken);
}

TEST(etcd_own_key, a_reading_tells_what_happened_while_nobody_watched) {
    EXPECT_EQ(followed().judge(reading(born, {standing_at(born)})), std::nullopt);
    EXPECT_EQ(followed().judge(reading(born, {})), kind::gone);
    EXPECT_EQ(followed().judge(reading(born - 1, {})), kind::replaced);
}

TEST(etcd_own_key, only_the_first_watch_begins_with_the_append) {
    own_key one = followed();
    EXPECT_EQ(one.start_revision(), born);
    EXPECT_FALSE(one.has_begun());
    EXPECT_EQ(one.start_revision(), 0) << "the history may have been compacted since";
    EXPECT_TRUE(one.has_begun());
}

} // namespace
} // namespace holdfast::etcd
