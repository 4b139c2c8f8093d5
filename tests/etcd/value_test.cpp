// The note in a claim's value: written for people, read from anybody's hands.
#include "etcd/value.hpp"

#include "etcd/keys.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace holdfast::etcd {
namespace {

TEST(etcd_value, what_is_written_is_read_back) {
    const holder_info who{"ann", "host-1", 4711, "nightly", "because"};
    const auto since = std::chrono::system_clock::time_point(std::chrono::milliseconds(1'700'000'000'123));
    const auto note = read_value(write_value({who, since, 7U, true, "a\n\xff"}, 3));
    EXPECT_EQ(note.who.user, "ann");
    EXPECT_EQ(note.who.host, "host-1");
    EXPECT_EQ(note.who.pid, 4711);
    EXPECT_EQ(note.who.command, "nightly");
    EXPECT_EQ(note.who.why, "because");
    EXPECT_EQ(note.since, since);
    EXPECT_EQ(note.capacity, 7U);
    EXPECT_EQ(note.proposal, "a\n\xff");
}

TEST(etcd_value, a_leaders_proposal_is_the_bare_value) {
    EXPECT_EQ(write_value({{"ann", {}, 1, {}, {}}, {}, {}, false, "me:80"}, lock_capacity), "me:80");
    EXPECT_EQ(read_value("me:80").proposal, "me:80");
    EXPECT_EQ(read_value("").proposal, "");
}

TEST(etcd_value, a_proposal_that_looks_like_a_note_stays_a_proposal) {
    const std::string sly = write_value({{}, {}, 5U, false, {}}, 3);
    const auto note = read_value(write_value({{}, {}, {}, false, sly}, lock_capacity));
    EXPECT_EQ(note.proposal, sly);
    EXPECT_FALSE(note.capacity);
}

TEST(etcd_value, what_others_write_is_no_note) {
    for (const std::string& text :
         {std::string(), std::string("{"), std::string("[]"), std::string("{\"holdfast\":2}"),
          std::string("proclaimed"), std::string(5000, ' '), std::string(4000, '[')}) {
        EXPECT_EQ(read_value(text).proposal, text) << text.substr(0, 20);
    }
    const auto odd =
        read_value(R"({"holdfast":1,"user":7,"pid":"x","since_ms":99999999999999999,"capacity":0})");
    EXPECT_FALSE(odd.proposal);
    EXPECT_EQ(odd.who.user, "");
    EXPECT_EQ(odd.who.pid, 0);
    EXPECT_FALSE(odd.since);
    EXPECT_FALSE(odd.capacity);
}

TEST(etcd_value, bytes_that_are_not_text_are_written_all_the_same) {
    EXPECT_FALSE(read_value(write_value({{"\xff\xfe", {}, 1, std::string(500, 'x'), {}}, {}}, lock_capacity))
                     .proposal);
}

TEST(etcd_value, a_resize_counts_instead_of_the_keys_number) {
    const resource_name name = resource_name::make("n").value();
    const claim what{name, {}, 2, 3};
    key_value kv{claim_key("n/", 0x1234, what), {}, 10, 10, 0x1234};
    EXPECT_EQ(place_of("n/", kv)->place.capacity, 3U);
    EXPECT_FALSE(needs_value("n/", kv));
    kv.mod_revision = 11;
    EXPECT_TRUE(needs_value("n/", kv));
    kv.value = write_value({{}, {}, 5U, false, {}}, 3);
    EXPECT_FALSE(needs_value("n/", kv));
    EXPECT_EQ(place_of("n/", kv)->place.capacity, 5U);
    kv.value = write_value({{}, {}, 1U, false, {}}, 3); // Less than it weighs: nobody's resize wrote that.
    EXPECT_EQ(place_of("n/", kv)->place.capacity, 3U);
}

RC_GTEST_PROP(etcd_value, arbitrary_bytes_do_no_harm, (const std::string& text)) {
    static_cast<void>(read_value(text));
}

} // namespace
} // namespace holdfast::etcd
