#include "hand_over.hpp"

#include "core/adjacent.hpp"

#include "line.hpp"
#include "pools.hpp"

namespace holdfast::local {
namespace {

/// What the head of a line's block says; it is to be believed while the record's word is the same.
struct head_of_line {
    block from;
    std::uint64_t counter = 0;
    std::uint64_t shape = 0;
    std::size_t claims = 0;
};

/// false: this is no line, or its block does not describe it.
bool read_head(const segment& in, std::uint32_t record, std::uint64_t word, head_of_line& into) noexcept {
    if (tag_of(word) != tag::line) {
        return false;
    }
    into.from = in.block_at(block_of(word));
    if (into.from.words == nullptr) {
        return false;
    }
    into.shape = into.from.shape().load(std::memory_order_acquire);
    into.counter = into.from.counter().load(std::memory_order_acquire);
    into.claims = static_cast<std::size_t>(into.shape >> 32);
    return into.claims != 0 && into.claims <= into.from.capacity &&
           into.from.record().load(std::memory_order_acquire) == record &&
           (into.counter & version_mask) == version_of(word);
}

constexpr bool is_exclusive(std::uint64_t second) noexcept {
    return second >> 32 == lock_capacity;
}

/// The line without its first claim, and with the next one holding.
void copy_rest(const head_of_line& head, std::uint32_t record, const block& into) noexcept {
    into.record().store(record, std::memory_order_release);
    into.counter().store(head.counter + 1, std::memory_order_release);
    into.shape().store(head.shape - (std::uint64_t{1} << 32), std::memory_order_release);
    for (std::size_t i = 1; i < head.claims; ++i) {
        into.claim(i - 1, 0).store(head.from.claim(i, 0).load(std::memory_order_acquire),
                                   std::memory_order_release);
        const std::uint64_t second = head.from.claim(i, 1).load(std::memory_order_acquire);
        // Who holds alone is told by the word, and may have given his cell back.
        into.claim(i - 1, 1).store(i > 1 ? second : std::uint64_t{lock_capacity} << 32 | block::holds_bit,
                                   std::memory_order_release);
    }
}

/// For lines of any length: those who are left stand in a line again.
std::optional<std::uint32_t> hand_on_line(const segment& in, std::uint32_t record, owner_id by,
                                          std::uint32_t slot_index, std::uint64_t sequence) noexcept {
    local::record& at = in.data().records[record];
    std::uint64_t seen = at.word.load(std::memory_order_seq_cst);
    head_of_line head;
    if (!read_head(in, record, seen, head) || head.claims < 2 ||
        static_cast<std::uint32_t>(head.shape) != lock_capacity ||
        head.from.claim(0, 0).load(std::memory_order_acquire) !=
            (std::uint64_t{slot_index} << block::slot_shift | sequence) ||
        !is_exclusive(head.from.claim(0, 1).load(std::memory_order_acquire))) {
        return std::nullopt;
    }
    const std::uint64_t first = head.from.claim(1, 0).load(std::memory_order_acquire);
    const std::uint64_t second = head.from.claim(1, 1).load(std::memory_order_acquire);
    const auto next = static_cast<std::uint32_t>(first >> block::slot_shift);
    if (!is_exclusive(second)) {
        return std::nullopt;
    }
    const std::uint32_t index = take_block(in, by, head.claims - 1);
    if (index == no_index) {
        return std::nullopt;
    }
    copy_rest(head, record, in.block_at(index));
    const bool done = at.word.compare_exchange_strong(seen, line_word(head.counter + 1, index));
    give_block(in, index); // In use or not is seen from the word; nobody takes a block that is named.
    if (!done) {
        return std::nullopt;
    }
    poke(in, next, static_cast<std::uint32_t>(second & (block::holds_bit - 1)));
    poke_watchers(at);
    return next;
}

} // namespace

HOLDFAST_BEFORE_WAKE std::optional<std::uint32_t> hand_to_next(segment_layout& in, local::record& at,
                                                               std::uint32_t slot_index,
                                                               std::uint64_t sequence) noexcept {
    std::uint64_t seen = at.word.load(std::memory_order_seq_cst);
    const std::uint32_t index = block_of(seen);
    if (tag_of(seen) != tag::line || index >= block_classes[0].count) {
        return std::nullopt;
    }
    const block from{in.small_blocks[index].words.data(), block_classes[0].claims};
    const std::uint64_t counter = from.counter().load(std::memory_order_acquire);
    const std::uint64_t first = from.claim(1, 0).load(std::memory_order_acquire);
    const std::uint64_t second = from.claim(1, 1).load(std::memory_order_acquire);
    if (from.shape().load(std::memory_order_acquire) != (std::uint64_t{2} << 32 | lock_capacity) ||
        from.record().load(std::memory_order_acquire) !=
            static_cast<std::uint64_t>(&at - in.records.data()) ||
        (counter & version_mask) != version_of(seen) ||
        from.claim(0, 0).load(std::memory_order_acquire) !=
            (std::uint64_t{slot_index} << block::slot_shift | sequence) ||
        !is_exclusive(from.claim(0, 1).load(std::memory_order_acquire)) || !is_exclusive(second) ||
        (first & max_sequence) != counter) {
        return std::nullopt;
    }
    const auto next = static_cast<std::uint32_t>(first >> block::slot_shift);
    const auto cell_index = static_cast<std::uint32_t>(second & (block::holds_bit - 1));
    if (cell_index < cell_count) { // Now, because the swap lets nothing pass.
        __builtin_prefetch(&in.cells[cell_index].futex, 1);
    }
    // Nothing has happened since it came, so its own number is the counter, and no word of that number was
    // ever here: the line becomes a word again.
    if (!at.word.compare_exchange_strong(seen, sole_word(counter, next))) {
        return std::nullopt;
    }
    poke(in, next, cell_index);
    poke_watchers(at);
    return next;
}

[[gnu::hot]] bool hand_over(const segment& in, std::uint32_t record, owner_id by, std::uint32_t slot_index,
                            std::uint64_t sequence) noexcept {
    local::record& at = in.data().records[record];
    std::uint64_t seen = at.word.load(std::memory_order_seq_cst);
    if (seen == sole_word(sequence, slot_index)) {
        if (!at.word.compare_exchange_strong(seen, free_word(sequence))) {
            return false;
        }
        poke_watchers(at);
        return true;
    }
    std::optional<std::uint32_t> next = hand_to_next(in.data(), at, slot_index, sequence);
    if (!next) {
        next = hand_on_line(in, record, by, slot_index, sequence);
    }
    // Only now: it is one cold cache line more, and hardly ever news. Who has expired hands on at once.
    if (next && !is_alive(in.data(), *next)) {
        static_cast<void>(repair_line(in, record, {.owner = by}));
    }
    return next.has_value();
}

[[gnu::hot]] bool is_first(const segment& in, std::uint32_t record, std::uint32_t slot_index,
                           std::uint64_t sequence) noexcept {
    const word64& word = in.data().records[record].word;
    const std::uint64_t seen = word.load(std::memory_order_seq_cst);
    if (tag_of(seen) == tag::sole) {
        return seen == sole_word(sequence, slot_index);
    }
    head_of_line head;
    return read_head(in, record, seen, head) &&
           head.from.claim(0, 0).load(std::memory_order_acquire) ==
               (std::uint64_t{slot_index} << block::slot_shift | sequence) &&
           (head.from.claim(0, 1).load(std::memory_order_acquire) & block::holds_bit) != 0 &&
           word.load(std::memory_order_seq_cst) == seen;
}

} // namespace holdfast::local
