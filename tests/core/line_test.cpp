// The rule, over all small lines and over random large ones.
#include "core/line.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include <holdfast/types.hpp>

namespace holdfast::core {

static std::ostream& operator<<(std::ostream& out, const place& shown) {
    return out << (shown.foreign ? "foreign" : "") << shown.weight << "/" << shown.capacity;
}

namespace {

using line = std::vector<place>;

line without(const line& from, std::size_t index) {
    line rest = from;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(index));
    return rest;
}

line with(const line& from, const place& newcomer) {
    line longer = from;
    longer.push_back(newcomer);
    return longer;
}

// The invariants that every line must fulfil. They speak of the rule, not of how it is computed.
::testing::AssertionResult holds_for(const line& all) {
    const std::size_t granted = granted_prefix(all);
    if (all.empty()) {
        return granted == 0 ? ::testing::AssertionSuccess()
                            : ::testing::AssertionFailure() << "an empty line grants " << granted;
    }
    if (granted == 0 || granted > all.size()) {
        return ::testing::AssertionFailure() << "grants " << granted << " of " << all.size();
    }
    std::uint64_t weight = 0;
    for (std::size_t i = 0; i < granted; ++i) {
        weight += all[i].weight;
        const bool same_kind = all[i].capacity == all[0].capacity && !all[i].foreign;
        if (granted > 1 && !same_kind) {
            return ::testing::AssertionFailure() << "a stranger shares, at place " << i;
        }
    }
    if (granted > 1 && weight > all[0].capacity) {
        return ::testing::AssertionFailure()
               << "weight " << weight << " exceeds capacity " << all[0].capacity;
    }
    for (std::size_t leaver = 0; leaver < all.size(); ++leaver) {
        const std::size_t still = leaver < granted ? granted - 1 : granted;
        if (granted_prefix(without(all, leaver)) < still) {
            return ::testing::AssertionFailure()
                   << "the departure of place " << leaver << " takes a grant away";
        }
    }
    return ::testing::AssertionSuccess();
}

// Visits every line of at most `longest` places over the given alphabet.
template <typename Visit>
void for_every_line(const std::vector<place>& alphabet, std::size_t longest, line& current,
                    const Visit& visit) {
    visit(current);
    if (current.size() == longest) {
        return;
    }
    for (const place& next : alphabet) {
        current.push_back(next);
        for_every_line(alphabet, longest, current, visit);
        current.pop_back();
    }
}

TEST(line_rule, grants_exactly_the_longest_prefix_that_fits_for_every_line_up_to_five) {
    std::size_t lines = 0;
    for (std::uint32_t capacity = 1; capacity <= 5; ++capacity) {
        std::vector<place> alphabet;
        for (std::uint32_t weight = 1; weight <= capacity; ++weight) {
            alphabet.push_back({.weight = weight, .capacity = capacity});
        }
        line current;
        for_every_line(alphabet, 5, current, [&](const line& all) {
            ++lines;
            std::uint64_t weight = 0;
            std::size_t expected = 0;
            for (const place& each : all) {
                weight += each.weight;
                if (weight > capacity) {
                    break;
                }
                ++expected;
            }
            ASSERT_EQ(granted_prefix(all), expected) << ::testing::PrintToString(all);
            ASSERT_TRUE(holds_for(all)) << ::testing::PrintToString(all);
        });
    }
    EXPECT_EQ(lines, 6U + 63U + 364U + 1365U + 3906U);
}

TEST(line_rule, keeps_its_invariants_in_every_mixed_line_up_to_five) {
    std::vector<place> alphabet{{.weight = 1, .capacity = 1, .foreign = true}};
    for (std::uint32_t capacity = 1; capacity <= 3; ++capacity) {
        for (std::uint32_t weight = 1; weight <= capacity; ++weight) {
            alphabet.push_back({.weight = weight, .capacity = capacity});
        }
    }
    line current;
    for_every_line(alphabet, 5, current, [&](const line& all) {
        ASSERT_TRUE(holds_for(all)) << ::testing::PrintToString(all);
        const std::size_t granted = granted_prefix(all);
        for (const place& newcomer : alphabet) {
            const std::size_t after = granted_prefix(with(all, newcomer));
            // First come, first served: the newcomer holds only if everybody before it does.
            ASSERT_TRUE(after == granted || (after == granted + 1 && granted == all.size()))
                << ::testing::PrintToString(all) << " then " << ::testing::PrintToString(newcomer);
        }
    });
}

TEST(line_rule, an_exclusive_claim_and_readers_exclude_each_other) {
    const place writer{.weight = lock_capacity, .capacity = lock_capacity};
    const place reader{.weight = 1, .capacity = lock_capacity};
    EXPECT_EQ(granted_prefix(line{reader, reader, writer, reader}), 2U);
    EXPECT_EQ(granted_prefix(line{writer, reader}), 1U);
    EXPECT_EQ(granted_prefix(line{writer, writer}), 1U);
}

TEST(line_rule, refuses_another_kind_another_capacity_and_a_weight_that_never_fits) {
    const place permits{.weight = 1, .capacity = 4};
    EXPECT_TRUE(may_join(permits, {.weight = 4, .capacity = 4}));
    EXPECT_FALSE(may_join(permits, {.weight = 1, .capacity = 5}));
    EXPECT_FALSE(may_join(permits, {.weight = 1, .capacity = lock_capacity}));
    EXPECT_FALSE(may_join(permits, {.weight = 5, .capacity = 4}));
    EXPECT_FALSE(may_join(permits, {.weight = 0, .capacity = 4}));
    EXPECT_TRUE(may_join({.weight = 1, .capacity = 1, .foreign = true}, permits));
}

line random_line() {
    const auto capacity = *rc::gen::inRange<std::uint32_t>(1, 1000);
    const auto any_place = rc::gen::map(
        rc::gen::tuple(rc::gen::inRange<std::uint32_t>(1, capacity + 1), rc::gen::inRange(0, 40)),
        [capacity](const std::tuple<std::uint32_t, int>& drawn) {
            const int oddity = std::get<1>(drawn);
            return place{.weight = std::get<0>(drawn),
                         .capacity = oddity == 1 ? capacity + 1 : capacity,
                         .foreign = oddity == 0};
        });
    return *rc::gen::container<line>(any_place);
}

RC_GTEST_PROP(line_rule, keeps_its_invariants_in_random_large_lines, ()) {
    const line all = random_line();
    RC_CLASSIFY(granted_prefix(all) > 1, "several hold");
    RC_ASSERT(static_cast<bool>(holds_for(all)));
}

RC_GTEST_PROP(line_rule,
              a_history_of_arrivals_and_departures_serves_in_order_and_wakes_only_the_newly_granted, ()) {
    // Each claim is woken once, when it is granted; a grant stays until its own departure.
    const auto capacity = *rc::gen::inRange<std::uint32_t>(1, 8);
    struct member {
        place at;
        std::uint64_t arrived;
        bool woken = false;
    };
    std::vector<member> members;
    std::uint64_t arrivals = 0;
    const auto steps = *rc::gen::container<std::vector<std::uint32_t>>(rc::gen::arbitrary<std::uint32_t>());
    for (const std::uint32_t step : steps) {
        if (step % 2 == 0 || members.empty()) {
            members.push_back(
                {.at = {.weight = step / 2 % capacity + 1, .capacity = capacity}, .arrived = ++arrivals});
        } else {
            members.erase(members.begin() + static_cast<std::ptrdiff_t>(step / 2 % members.size()));
        }
        line all;
        for (const member& each : members) {
            all.push_back(each.at);
        }
        const std::size_t granted = granted_prefix(all);
        for (std::size_t i = 0; i < members.size(); ++i) {
            RC_ASSERT(!(members[i].woken && i >= granted)); // No grant is taken back.
            members[i].woken = i < granted;
            const bool in_order = i == 0 || members[i - 1].arrived < members[i].arrived;
            RC_ASSERT(in_order); // Outside, because RC_ASSERT evaluates both sides of a `||` to show them.
        }
    }
}

} // namespace
} // namespace holdfast::core
