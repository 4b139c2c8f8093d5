#include "local/segment.hpp"
#include "local/word.hpp"

#include <memory>

#include <gtest/gtest.h>

namespace holdfast::local {
namespace {

TEST(word, a_sole_word_gives_back_its_sequence_and_slot) {
    const auto word = sole_word(max_sequence, slot_count - 1);
    EXPECT_EQ(tag_of(word), tag::sole);
    EXPECT_EQ(sequence_of(word), max_sequence);
    EXPECT_EQ(slot_of(word), slot_count - 1);
}

TEST(word, a_reader_is_told_from_whoever_holds_alone_and_from_nobody) {
    const auto word = reader_word(max_sequence, slot_count - 1);
    EXPECT_EQ(tag_of(word), tag::reader);
    EXPECT_EQ(sequence_of(word), max_sequence);
    EXPECT_EQ(slot_of(word), slot_count - 1);
    EXPECT_NE(word, sole_word(max_sequence, slot_count - 1));
    EXPECT_NE(reader_word(7, 0), free_word(7));
}

TEST(word, a_line_word_gives_back_its_block_and_the_low_bits_of_its_counter) {
    const auto word = line_word(max_sequence, block_count - 1);
    EXPECT_EQ(tag_of(word), tag::line);
    EXPECT_EQ(block_of(word), block_count - 1);
    EXPECT_EQ(version_of(word), max_sequence & version_mask);
}

TEST(word, a_zeroed_segment_is_free_everywhere) {
    EXPECT_EQ(free_word(0), 0U);
    EXPECT_EQ(state_of(0), session_state::free);
}

TEST(word, a_session_word_gives_back_all_three) {
    const auto word = session_word(never_ms - 1, generation_mask, session_state::alive);
    EXPECT_EQ(deadline_ms_of(word), never_ms - 1);
    // Somebody's nonsense is no instant that arithmetic could not bear.
    const auto damaged = session_word((std::int64_t{1} << 44) - 1, generation_mask, session_state::alive);
    EXPECT_EQ(deadline_ms_of(damaged), never_ms);
    EXPECT_EQ(generation_of(word), generation_mask);
    EXPECT_EQ(state_of(word), session_state::alive);
    EXPECT_EQ(state_of(with_state(word, session_state::expired)), session_state::expired);
    EXPECT_EQ(deadline_ms_of(with_state(word, session_state::expired)), deadline_ms_of(word));
}

TEST(word, an_owner_is_never_nobody) {
    EXPECT_NE(owner_of(0, 0), 0U);
    EXPECT_EQ(owner_slot(owner_of(slot_count - 1, generation_mask)), slot_count - 1);
    EXPECT_EQ(owner_generation(owner_of(3, generation_mask)), generation_mask);
}

TEST(segment, every_block_lies_within_the_file_and_overlaps_no_other) {
    auto data = std::make_unique<segment_layout>();
    const segment_layout& whole = *data;
    const auto* begin = reinterpret_cast<const char*>(&whole.small_blocks);
    const auto* end = reinterpret_cast<const char*>(&whole + 1);
    std::uint32_t total = 0;
    for (const block_class& each : block_classes) {
        EXPECT_EQ(each.first, total);
        total += each.count;
    }
    EXPECT_EQ(total, block_count);
    EXPECT_EQ(end - begin, 16384 * 256 + 4096 * 640 + 1024 * 4096 + 64 * 65536 + 16 * 262144);
}

} // namespace
} // namespace holdfast::local
