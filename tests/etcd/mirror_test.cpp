// The picture of one line against a model of etcd: whatever happens to the line, and however the watch and
// the readings of it interleave, each of our claims is granted exactly when the rule grants it, and never
// missed.
#include "etcd/mirror.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/line.hpp"
#include "etcd/keys.hpp"
#include "etcd/value.hpp"

namespace holdfast::etcd {
namespace {

const std::string prefix = "n/";

std::string key_of(std::uint64_t number, std::uint32_t weight, std::uint32_t capacity) {
    claim what{.name = resource_name::make("n").value(), .id = {}, .weight = weight, .capacity = capacity};
    what.id.number = number;
    return claim_key(prefix, 7, what);
}

key_value at(const std::string& key, std::int64_t create_revision) {
    return {key, {}, create_revision, create_revision, 7};
}

watch_event put(const std::string& key, std::int64_t revision) {
    return {false, at(key, revision)};
}
watch_event gone(const std::string& key, std::int64_t revision) {
    return {true, {key, {}, 0, revision, 0}};
}

std::vector<std::string> keys_of(const std::vector<verdict>& news, verdict::kind what) {
    std::vector<std::string> out;
    for (const verdict& one : news) {
        if (one.what == what) {
            out.push_back(one.key);
        }
    }
    return out;
}

const std::string first = key_of(1, lock_capacity, lock_capacity);
const std::string second = key_of(2, lock_capacity, lock_capacity);

using keys = std::vector<std::string>;

TEST(etcd_mirror, the_departure_of_the_blocker_grants_the_next) {
    mirror picture(prefix);
    picture.load({at(first, 5), at(second, 6)}, 6);
    picture.expect(second, 6);
    EXPECT_TRUE(picture.take().empty());
    EXPECT_EQ(picture.waiting(), 1U);
    picture.apply({gone(first, 9)});
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::granted), keys{second});
    EXPECT_TRUE(picture.take().empty()) << "said once";
    EXPECT_EQ(picture.waiting(), 0U);
    EXPECT_EQ(picture.expected(), 1U);
}

// What is still in the picture is the place of the claim that had the key before: taken for the new one, it
// would let it in beside the holder.
TEST(etcd_mirror, a_key_that_is_used_again_is_not_taken_for_its_former_claim) {
    mirror picture(prefix);
    picture.load({at(first, 5), at(second, 6)}, 6);
    picture.expect(first, 8); // Deleted at 7 and put again at 8; the events are still on their way.
    EXPECT_TRUE(picture.take().empty());
    picture.apply({gone(first, 7)});
    EXPECT_TRUE(picture.take().empty()) << "that end was not its own";
    picture.apply({put(first, 8)});
    EXPECT_TRUE(picture.take().empty()) << "the second was before it";
    picture.apply({gone(second, 9)});
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::granted), keys{first});
    picture.apply({gone(first, 10)});
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::gone), keys{first});
}

TEST(etcd_mirror, a_key_that_is_used_again_and_vanished_is_told_as_gone) {
    mirror picture(prefix);
    picture.load({at(first, 5)}, 6);
    picture.expect(first, 4); // This claim's key was deleted, and somebody has put it again at 5.
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::gone), keys{first});
}

TEST(etcd_mirror, nothing_is_said_before_the_line_has_been_read) {
    mirror picture(prefix);
    picture.expect(first, 5);
    picture.apply({put(first, 5)});
    EXPECT_TRUE(picture.take().empty());
    picture.load({at(first, 5)}, 5);
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::granted), keys{first});
}

TEST(etcd_mirror, events_from_before_the_reading_wait_for_it_and_are_not_applied_twice) {
    mirror picture(prefix);
    picture.expect(second, 6);
    picture.apply(
        {gone(first, 7), put(key_of(3, 1, 1), 9)}); // The first is in the reading, the second is not.
    picture.load({at(second, 6)}, 8);
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::granted), keys{second});
    EXPECT_EQ(picture.size(), 2U);
    EXPECT_EQ(picture.revision(), 9);
}

TEST(etcd_mirror, a_claim_that_dies_in_the_queue_is_gone_and_never_granted) {
    mirror picture(prefix);
    picture.load({at(first, 5), at(second, 6)}, 6);
    picture.expect(second, 6);
    picture.apply({gone(first, 8), gone(second, 8)});
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::gone), keys{second});
    EXPECT_TRUE(picture.take().empty());
}

TEST(etcd_mirror, a_claim_that_was_gone_before_it_was_expected_is_gone) {
    mirror picture(prefix);
    picture.load({}, 10);
    picture.expect(first, 8);
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::gone), keys{first});
}

TEST(etcd_mirror, a_claim_that_the_picture_has_not_reached_yet_is_waited_for) {
    mirror picture(prefix);
    picture.load({}, 10);
    picture.expect(first, 12);
    EXPECT_TRUE(picture.take().empty());
    picture.apply({put(first, 12)});
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::granted), keys{first});
}

TEST(etcd_mirror, a_hold_that_vanished_between_two_watches_is_gone) {
    mirror picture(prefix);
    picture.load({at(first, 5)}, 6);
    picture.expect(first, 5);
    ASSERT_EQ(keys_of(picture.take(), verdict::kind::granted), keys{first});
    picture.restart();
    EXPECT_TRUE(picture.take().empty());
    picture.load({}, 20);
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::gone), keys{first});
}

TEST(etcd_mirror, a_revision_that_goes_back_means_that_the_store_was_replaced) {
    mirror picture(prefix);
    picture.load({at(first, 50)}, 60);
    picture.expect(first, 50);
    ASSERT_FALSE(picture.take().empty());
    picture.restart();
    picture.load({at(first, 50)}, 55);
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::replaced), keys{first});
}

TEST(etcd_mirror, deeper_names_do_not_block) {
    mirror picture(prefix);
    picture.load({at("n/m/1", 3), at(first, 5)}, 6);
    picture.expect(first, 5);
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::granted), keys{first});
    EXPECT_EQ(picture.size(), 1U);
}

TEST(etcd_mirror, a_foreign_lock_blocks_and_its_new_value_changes_nothing) {
    mirror picture(prefix);
    picture.load({at("n/7", 3), at(first, 5)}, 6);
    picture.expect(first, 5);
    EXPECT_TRUE(picture.take().empty());
    picture.apply({{false, {"n/7", "proclaimed", 3, 8, 7}}});
    EXPECT_TRUE(picture.take().empty());
    picture.apply({gone("n/7", 9)});
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::granted), keys{first});
}

// A key of ours as a resize, a proclaim or a break leaves it.
watch_event changed(const std::string& key, std::int64_t created, std::int64_t revision,
                    const claim_note& note, std::int64_t lease = 7) {
    return {false, {key, write_value(note, 3), created, revision, lease}};
}

TEST(etcd_mirror, a_resize_grants_who_fits_now_and_takes_nothing_from_who_held) {
    const keys line{key_of(1, 1, 1), key_of(2, 1, 1), key_of(3, 1, 1)};
    mirror picture(prefix);
    picture.load({at(line[0], 5), at(line[1], 6), at(line[2], 7)}, 7);
    for (std::size_t i = 0; i < line.size(); ++i) {
        picture.expect(line[i], static_cast<std::int64_t>(5 + i));
    }
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::granted), keys{line[0]});
    const claim_note held{{}, {}, 2U, true, {}};
    const claim_note waits{{}, {}, 2U, false, {}};
    picture.apply(
        {changed(line[0], 5, 8, held), changed(line[1], 6, 8, waits), changed(line[2], 7, 8, waits)});
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::granted), keys{line[1]});
    // Down to one permit while two hold: the third is granted only when both have gone.
    const claim_note both{{}, {}, 1U, true, {}};
    const claim_note last{{}, {}, 1U, false, {}};
    picture.apply({changed(line[0], 5, 9, both), changed(line[1], 6, 9, both), changed(line[2], 7, 9, last)});
    picture.apply({gone(line[0], 10)});
    EXPECT_TRUE(picture.take().size() == 1) << "the departure itself";
    picture.apply({gone(line[1], 11)});
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::granted), keys{line[2]});
}

TEST(etcd_mirror, a_grant_that_a_resize_overtook_in_one_message_is_said_all_the_same) {
    const keys line{key_of(1, 2, 2), key_of(2, 2, 2), key_of(3, 1, 2)};
    mirror picture(prefix);
    picture.load({at(line[0], 5), at(line[1], 6), at(line[2], 7)}, 7);
    picture.expect(line[1], 6);
    EXPECT_TRUE(picture.take().empty());
    picture.apply({gone(line[0], 8), changed(line[1], 6, 9, {{}, {}, 3U, true, {}})});
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::granted), keys{line[1]});
}

TEST(etcd_mirror, a_claim_that_was_moved_to_another_lease_and_ends_was_broken) {
    mirror picture(prefix);
    picture.load({at(first, 5), at(second, 6)}, 6);
    picture.expect(first, 5);
    static_cast<void>(picture.take());
    picture.apply({changed(first, 5, 7, {}, 8), gone(first, 8)});
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::broken), keys{first});
    picture.apply({changed(second, 6, 9, {}, 8), gone(second, 10)});
    picture.expect(second, 6);
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::broken), keys{second}) << "followed only afterwards";
    const std::string absent = key_of(9, 1, 1);
    picture.expect(absent, 9);
    EXPECT_EQ(keys_of(picture.take(), verdict::kind::gone).size(), 1U) << "others that are gone were not";
}

// etcd itself, as far as one name goes: revisions, keys, and every event there ever was.
struct model {
    std::int64_t revision = 10;
    std::vector<key_value> line; // Oldest first.
    std::vector<watch_event> events;

    std::int64_t put(const std::string& key) {
        line.push_back(at(key, ++revision));
        events.push_back({false, line.back()});
        return revision;
    }
    void remove(std::size_t index) {
        events.push_back(gone(line[index].key, ++revision));
        line.erase(line.begin() + static_cast<std::ptrdiff_t>(index));
    }
    std::set<std::string> granted() const {
        std::vector<core::place> places;
        for (const key_value& kv : line) {
            places.push_back(*place_of(prefix, kv.key));
        }
        std::set<std::string> out;
        for (std::size_t i = 0; i < core::granted_prefix(places); ++i) {
            out.insert(line[i].key);
        }
        return out;
    }
    bool has(const std::string& key) const {
        return std::ranges::any_of(line, [&](const key_value& kv) { return kv.key == key; });
    }
};

RC_GTEST_PROP(etcd_mirror, whatever_happens_the_picture_says_what_the_rule_says_when_it_has_caught_up, ()) {
    model truth;
    mirror picture(prefix);
    const std::uint32_t capacity = *rc::gen::element(1U, 3U, lock_capacity);
    std::uint64_t number = 0;
    std::map<std::string, std::int64_t> unasked; // Put by us, and not expected yet.
    std::set<std::string> asked;
    std::set<std::string> told_granted;
    std::set<std::string> told_gone;
    std::set<std::string> was_granted; // By the rule, at any time.
    std::size_t watched_from = 0;      // The next event that the watch carries.
    bool open = false;
    std::optional<std::pair<std::vector<key_value>, std::int64_t>> reading;

    const auto listen = [&] {
        for (const verdict& news : picture.take()) {
            RC_ASSERT(asked.contains(news.key));
            RC_ASSERT(news.what != verdict::kind::replaced);
            RC_ASSERT(!told_gone.contains(news.key));
            if (news.what == verdict::kind::granted) {
                RC_ASSERT(told_granted.insert(news.key).second);
                RC_ASSERT(was_granted.contains(news.key));
            } else {
                told_gone.insert(news.key);
                RC_ASSERT(!truth.has(news.key));
            }
        }
    };
    const auto deliver = [&](std::size_t count) {
        const std::size_t end = std::min(watched_from + count, truth.events.size());
        picture.apply({truth.events.begin() + static_cast<std::ptrdiff_t>(watched_from),
                       truth.events.begin() + static_cast<std::ptrdiff_t>(end)});
        watched_from = end;
        listen();
    };

    const auto steps = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 100));
    for (const int step : steps) {
        if (step < 30) { // Ours is put.
            const std::string key = key_of(++number, *rc::gen::inRange(1U, capacity + 1), capacity);
            unasked[key] = truth.put(key);
        } else if (step < 40) { // Somebody else's, of any kind.
            truth.put(*rc::gen::element(std::string("n/"), std::string("n/x")) + std::to_string(++number));
        } else if (step < 65 && !truth.line.empty()) {
            truth.remove(*rc::gen::inRange<std::size_t>(0, truth.line.size()));
        } else if (step < 78 && !unasked.empty()) {
            const auto one = unasked.begin();
            picture.expect(*asked.insert(one->first).first, one->second);
            unasked.erase(one);
            listen();
        } else if (step < 92 && open) {
            deliver(*rc::gen::inRange<std::size_t>(1, 4));
        } else if (step < 94) { // The watch breaks and is opened anew, now.
            picture.restart();
            open = true;
            watched_from = truth.events.size();
            reading.reset();
        } else if (step < 97 && open && !picture.followed() && !reading) { // The line is read after that,
            reading.emplace(truth.line, truth.revision);
        } else if (reading) { // and the answer comes whenever it comes.
            picture.load(reading->first, reading->second);
            reading.reset();
            listen();
        }
        const std::set<std::string> now_granted = truth.granted();
        was_granted.insert(now_granted.begin(), now_granted.end());
    }
    // Heal: a watch, a reading, every event, every claim asked about.
    if (!open) {
        watched_from = truth.events.size();
    }
    for (const auto& [key, revision] : unasked) {
        picture.expect(*asked.insert(key).first, revision);
    }
    if (!picture.followed()) {
        if (!reading) {
            reading.emplace(truth.line, truth.revision);
        }
        picture.load(reading->first, reading->second);
        listen();
    }
    deliver(truth.events.size());
    const std::set<std::string> granted = truth.granted();
    for (const std::string& key : asked) {
        RC_ASSERT(told_gone.contains(key) == !truth.has(key));
        if (truth.has(key)) {
            RC_ASSERT(told_granted.contains(key) == granted.contains(key));
        }
    }
}

} // namespace
} // namespace holdfast::etcd
