// How claims are written as etcd keys, and how any key below a name is read back.
#include "etcd/keys.hpp"

#include <array>
#include <set>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace holdfast::etcd {
namespace {

resource_name name(const std::string& bytes) {
    return resource_name::make(bytes).value();
}

claim some_claim(const std::string& bytes, std::uint32_t weight = lock_capacity,
                 std::uint32_t capacity = lock_capacity) {
    claim what{.name = name(bytes), .id = {}, .weight = weight, .capacity = capacity};
    what.id.session.fill(0xab);
    what.id.number = 31;
    return what;
}

TEST(etcd_keys, a_claim_is_written_below_its_name) {
    const claim what = some_claim("jobs", 1, 5);
    EXPECT_EQ(claim_key(line_prefix("", what.name), 0x694d7b0a, what),
              "jobs/694d7b0a-abababababababababababababababab.1f-1.5");
    EXPECT_EQ(line_prefix(namespace_prefix("/team/a/"), what.name), "team/a/jobs/");
    EXPECT_EQ(line_prefix(namespace_prefix(""), what.name), "jobs/");
}

TEST(etcd_keys, a_lease_is_written_as_go_writes_it) {
    EXPECT_EQ(lease_hex(0xff), "ff");
    EXPECT_EQ(lease_hex(-1), "ffffffffffffffff");
    EXPECT_TRUE(looks_like_lock("694d7b0a", 0x694d7b0a));
    EXPECT_FALSE(looks_like_lock("694d7b0b", 0x694d7b0a));
    EXPECT_FALSE(looks_like_lock("0", 0));
}

RC_GTEST_PROP(etcd_keys, what_is_written_is_read_back, ()) {
    claim what = some_claim(*rc::gen::nonEmpty<std::string>());
    what.id.session = *rc::gen::arbitrary<std::array<std::uint8_t, 16>>();
    what.id.number = *rc::gen::arbitrary<std::uint64_t>();
    what.capacity = *rc::gen::oneOf(rc::gen::just(lock_capacity), rc::gen::inRange(1U, max_permits + 1));
    what.weight = *rc::gen::inRange(1U, what.capacity + 1);
    const auto lease = *rc::gen::nonZero<std::int64_t>();
    const std::string prefix = line_prefix("space/", what.name);
    const std::string key = claim_key(prefix, lease, what);
    RC_ASSERT(key.starts_with(prefix));
    const auto read = parse_claim(std::string_view(key).substr(prefix.size()));
    RC_ASSERT(read.has_value());
    RC_ASSERT(read->lease == lease);
    RC_ASSERT(read->id == what.id);
    RC_ASSERT(read->weight == what.weight);
    RC_ASSERT(read->capacity == what.capacity);
    const auto place = place_of(prefix, key);
    RC_ASSERT(place.has_value());
    RC_ASSERT(!place->foreign);
}

RC_GTEST_PROP(etcd_keys, arbitrary_bytes_below_a_name_are_foreign_or_deeper_never_ours,
              (const std::string& text)) {
    const auto place = place_of("n/", "n/" + text);
    RC_ASSERT(place.has_value() == (text.find('/') == std::string::npos));
    if (place && !parse_claim(text)) {
        RC_ASSERT(place->foreign);
    }
}

TEST(etcd_keys, other_spellings_of_a_claim_are_foreign) {
    const std::string id = "abababababababababababababababab.1f";
    EXPECT_TRUE(parse_claim("1-" + id + "-1.5"));
    for (const std::string& text :
         {"1-" + id, "1-" + id + "-1", "1-" + id + "-0.5", "1-" + id + "-6.5", "1-" + id + "-01.5",
          "1-" + id + "-1.2000000", "1-" + id + "-1.5 ", "1-" + id + "-+1.5", "-" + id + "-1.5",
          "01-" + id + "-1.5", "A-" + id + "-1.5", "x-" + id + "-1.5", "1-" + id + "--1.5",
          "12345678123456781-" + id + "-1.5", "1-" + id + "-1.99999999999999999999", std::string()}) {
        EXPECT_FALSE(parse_claim(text)) << text;
    }
}

TEST(etcd_keys, a_name_and_a_name_below_it_are_two_lines) {
    const claim deep = some_claim("a/b");
    const claim deeper = some_claim("a//");
    const std::string line_of_a = line_prefix("", name("a"));
    EXPECT_FALSE(place_of(line_of_a, claim_key(line_prefix("", deep.name), 1, deep)));
    EXPECT_FALSE(place_of(line_of_a, claim_key(line_prefix("", deeper.name), 1, deeper)));
    EXPECT_TRUE(place_of(line_of_a, claim_key(line_of_a, 1, some_claim("a"))));
    EXPECT_FALSE(place_of(line_of_a, "ab/1")) << "not below it at all";
}

TEST(etcd_keys, a_foreign_lock_counts_as_exclusive) {
    const auto place = place_of("jobs/", "jobs/694d7b0a");
    ASSERT_TRUE(place);
    EXPECT_TRUE(place->foreign);
}

TEST(etcd_keys, a_range_holds_all_keys_with_the_prefix_and_no_other) {
    EXPECT_EQ(range_of("jobs/").end, "jobs0");
    EXPECT_EQ(range_of("\xff\xff").end, std::string(1, '\0')) << "to the end of all keys";
    EXPECT_EQ(range_of("").key, std::string(1, '\0')) << "all keys";
    EXPECT_EQ(range_of("").end, std::string(1, '\0'));
}

RC_GTEST_PROP(etcd_keys, membership_in_the_range_is_having_the_prefix,
              (const std::string& prefix, const std::string& key)) {
    const key_range range = range_of(prefix);
    const bool open_ended = range.end == std::string(1, '\0');
    const bool inside = !key.empty() && key >= range.key && (open_ended || key < range.end);
    RC_ASSERT(inside == (!key.empty() && key.starts_with(prefix)));
}

} // namespace
} // namespace holdfast::etcd
