#include "proposal.hpp"

#include <algorithm>
#include <cstring>

#include <holdfast/store.hpp>

#include "pools.hpp"

namespace holdfast::local {
namespace {

/// The block's first claim is the hold that proposes, and the length; the text follows.
constexpr std::size_t head_claims = 1;

word64& text_word(const block& of, std::size_t index) noexcept {
    return of.claim(head_claims + index / 2, index % 2);
}

bool holds(const segment& in, std::uint32_t record, std::optional<std::uint32_t> slot, std::uint64_t sequence,
           bool& sound) {
    line now;
    sound = read_line(in, record, now);
    return sound && std::any_of(now.claims.begin(), now.claims.end(), [&](const standing& each) {
               return each.sequence == sequence && each.holds && (!slot || each.slot == *slot);
           });
}

} // namespace

change_result write_proposal(const segment& in, std::uint32_t record, owner_id by, std::uint32_t slot,
                             std::uint64_t sequence, std::string_view text) {
    word64& word = in.data().records[record].proposal;
    for (;;) { // Every further turn means that somebody else has written.
        std::uint64_t seen = word.load(std::memory_order_seq_cst);
        bool sound = true;
        if (!holds(in, record, slot, sequence, sound)) {
            return sound ? change_result::unchanged : change_result::corrupt;
        }
        const std::uint32_t index = take_block(in, by, head_claims + (text.size() + 15) / 16);
        if (index == no_index) {
            return change_result::no_space;
        }
        const block mine = in.block_at(index);
        const std::uint64_t next = next_proposal(seen, index);
        mine.record().store(record, std::memory_order_release);
        mine.counter().store(next, std::memory_order_release);
        mine.claim(0, 0).store(sequence, std::memory_order_release);
        mine.claim(0, 1).store(text.size(), std::memory_order_release);
        for (std::size_t at = 0; at < text.size(); at += 8) {
            std::uint64_t piece = 0;
            std::memcpy(&piece, text.data() + at, std::min<std::size_t>(8, text.size() - at));
            text_word(mine, at / 8).store(piece, std::memory_order_release);
        }
        const bool done = word.compare_exchange_strong(seen, next);
        give_block(in, index); // In use or not is seen from the word.
        if (done) {
            poke_watchers(in.data().records[record]);
            return change_result::changed;
        }
    }
}

std::optional<std::string> read_proposal(const segment& in, std::uint32_t record, std::uint64_t sequence) {
    const word64& word = in.data().records[record].proposal;
    for (;;) { // Every further turn means that somebody else has written.
        const std::uint64_t seen = word.load(std::memory_order_seq_cst);
        const block from = in.block_at(proposal_block(seen));
        if (from.words == nullptr) {
            return std::nullopt;
        }
        const std::uint64_t bytes = from.claim(0, 1).load(std::memory_order_acquire);
        const bool fits = from.counter().load(std::memory_order_acquire) == seen &&
                          from.claim(0, 0).load(std::memory_order_acquire) == sequence &&
                          bytes <= max_proposal && head_claims + (bytes + 15) / 16 <= from.capacity;
        std::string text(fits ? bytes : 0, '\0');
        for (std::size_t at = 0; at < text.size(); at += 8) {
            const std::uint64_t piece = text_word(from, at / 8).load(std::memory_order_acquire);
            std::memcpy(text.data() + at, &piece, std::min<std::size_t>(8, text.size() - at));
        }
        if (word.load(std::memory_order_seq_cst) == seen) { // A block is rewritten only after its word.
            return fits ? std::optional(std::move(text)) : std::nullopt;
        }
    }
}

void drop_stale_proposal(const segment& in, std::uint32_t record) {
    word64& word = in.data().records[record].proposal;
    std::uint64_t seen = word.load(std::memory_order_seq_cst);
    const block from = in.block_at(proposal_block(seen));
    if (from.words == nullptr) {
        return;
    }
    const std::uint64_t sequence = from.claim(0, 0).load(std::memory_order_acquire);
    bool sound = true;
    // Should the block be another's by now, the word has changed, and with it nothing is done here.
    if (!holds(in, record, std::nullopt, sequence, sound) && sound) {
        word.compare_exchange_strong(seen, next_proposal(seen, ~std::uint32_t{0}));
    }
}

} // namespace holdfast::local
