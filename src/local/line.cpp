#include "line.hpp"

#include <algorithm>
#include <chrono>

#include "core/adjacent.hpp"
#include "core/line.hpp"

#include "futex.hpp"
#include "hand_over.hpp"
#include "life.hpp"
#include "pools.hpp"

namespace holdfast::local {
namespace {

constexpr unsigned slot_shift = block::slot_shift;
constexpr std::uint64_t holds_bit = block::holds_bit;

enum class publishing { done, raced, no_space };

/// Decodes a block that its record's word named a moment ago. false: what it says cannot be.
bool decode(const block& from, std::uint32_t record, line& into) {
    const std::uint64_t shape = from.shape().load(std::memory_order_acquire);
    const std::uint64_t claims = shape >> 32;
    into.counter = from.counter().load(std::memory_order_acquire);
    into.capacity = static_cast<std::uint32_t>(shape);
    if (claims == 0 || claims > from.capacity || from.record().load(std::memory_order_acquire) != record ||
        (into.counter & version_mask) != version_of(into.word)) {
        return false;
    }
    into.claims.resize(claims);
    for (std::size_t i = 0; i < claims; ++i) {
        const std::uint64_t first = from.claim(i, 0).load(std::memory_order_acquire);
        const std::uint64_t second = from.claim(i, 1).load(std::memory_order_acquire);
        standing& each = into.claims[i];
        each.sequence = first & max_sequence;
        each.slot = static_cast<std::uint32_t>(first >> slot_shift);
        each.cell = static_cast<std::uint32_t>(second & (holds_bit - 1));
        each.holds = (second & holds_bit) != 0;
        each.weight = static_cast<std::uint32_t>(second >> 32);
        if (each.cell >= cell_count || each.weight == 0 || each.weight > into.capacity) {
            return false;
        }
        // In the order of their numbers, and who holds before who waits.
        if (i == 0
                ? !each.holds
                : each.sequence <= into.claims[i - 1].sequence || (each.holds && !into.claims[i - 1].holds)) {
            return false;
        }
    }
    return true;
}

void encode(const line& from, std::uint32_t record, const block& into) noexcept {
    into.record().store(record, std::memory_order_release);
    into.counter().store(from.counter, std::memory_order_release);
    into.shape().store(std::uint64_t{from.claims.size()} << 32 | from.capacity, std::memory_order_release);
    for (std::size_t i = 0; i < from.claims.size(); ++i) {
        const standing& each = from.claims[i];
        into.claim(i, 0).store(std::uint64_t{each.slot} << slot_shift | each.sequence,
                               std::memory_order_release);
        // Who holds alone is told by the word, and may have given his cell back.
        const std::uint32_t cell = each.holds && each.weight == lock_capacity ? 0 : each.cell;
        into.claim(i, 1).store(std::uint64_t{each.weight} << 32 | (each.holds ? holds_bit : 0) | cell,
                               std::memory_order_release);
    }
}

/// Only the newest claim may become a sole word: the word's number must never go back.
bool fits_sole(const line& after) noexcept {
    return after.claims.size() == 1 && after.capacity == lock_capacity &&
           after.claims.front().weight == lock_capacity && after.claims.front().sequence == after.counter;
}

/// Lets the process that sits there look after all that it holds.
void call_session(const segment& in, std::uint32_t slot_index) noexcept {
    word32& mailbox = in.data().slots[slot_index].mailbox;
    mailbox.fetch_or(cell::everything);
    mailbox.fetch_add(cell::poke);
    futex_wake_all(mailbox);
}

publishing publish(const segment& in, std::uint32_t record, const editor& by, std::uint64_t before,
                   const line& after) noexcept {
    word64& word = in.data().records[record].word;
    if (after.claims.empty()) {
        return word.compare_exchange_strong(before, free_word(after.counter)) ? publishing::done
                                                                              : publishing::raced;
    }
    if (fits_sole(after)) {
        const std::uint64_t sole = sole_word(after.counter, after.claims.front().slot);
        return word.compare_exchange_strong(before, sole) ? publishing::done : publishing::raced;
    }
    const std::uint32_t index = take_block(in, by.owner, after.claims.size());
    if (index == no_index) {
        return publishing::no_space;
    }
    encode(after, record, in.block_at(index));
    const bool done = word.compare_exchange_strong(before, line_word(after.counter, index));
    give_block(in, index); // In use or not is seen from the word; nobody takes a block that is named.
    return done ? publishing::done : publishing::raced;
}

/// Takes out the claims whose session does not count. true if there were any.
bool purge(const segment& in, line& from, bool may_expire) {
    const std::int64_t at_ms = now_ms();
    std::uint32_t last = slot_count;
    bool counts = false;
    return std::erase_if(from.claims, [&](const standing& each) {
               if (each.slot != last) {
                   last = each.slot;
                   counts = still_counts(in, last, at_ms, may_expire);
               }
               return !counts;
           }) != 0;
}

/// Wakes those who hold now and did not before, in the order of the line.
void poke_granted(const segment& in, const line& before, const line& after) {
    const std::size_t held = before.granted();
    const std::uint64_t last_held = held == 0 ? 0 : before.claims[held - 1].sequence;
    const std::size_t holds = after.granted();
    for (std::size_t i = 0; i < holds; ++i) {
        const standing& each = after.claims[i];
        // Whoever was appended by this very change learns it from its own swap.
        if (each.sequence > last_held && each.sequence != after.counter) {
            poke(in, each.slot, each.cell);
        }
    }
}

} // namespace

std::size_t line::granted() const noexcept {
    std::size_t count = 0;
    while (count < claims.size() && claims[count].holds) {
        ++count;
    }
    return count;
}

bool line::shows_hold(std::uint32_t slot_index, std::uint64_t sequence) const noexcept {
    return std::any_of(claims.begin(), claims.end(), [&](const standing& each) {
        return each.holds && each.sequence == sequence && each.slot == slot_index;
    });
}

void line::grant() {
    if (claims.empty()) {
        return;
    }
    std::size_t reach = 1;
    if (claims.front().weight < capacity) {
        thread_local std::vector<core::place> places;
        places.clear();
        for (const standing& each : claims) {
            places.push_back({.weight = each.weight, .capacity = capacity, .foreign = false});
        }
        reach = core::granted_prefix(places);
    }
    // Of a line that has shrunk more hold than the rule would let: they keep what they have.
    for (std::size_t i = 0; i < reach; ++i) {
        claims[i].holds = true;
    }
}

std::int64_t now_ms() noexcept {
    return std::chrono::floor<std::chrono::milliseconds>(now(clock_source::monotonic))
        .time_since_epoch()
        .count();
}

HOLDFAST_AFTER_WAKE std::uint64_t realtime_ms() noexcept {
    timespec at{};
    clock_gettime(CLOCK_REALTIME, &at);
    return static_cast<std::uint64_t>(at.tv_sec) * 1000 + static_cast<std::uint64_t>(at.tv_nsec) / 1'000'000;
}

bool read_line(const segment& in, std::uint32_t record, line& into) {
    if (record >= record_count) {
        return false;
    }
    const word64& word = in.data().records[record].word;
    for (;;) { // Every further turn means that somebody else changed the line.
        into.word = word.load(std::memory_order_seq_cst);
        into.claims.clear();
        switch (tag_of(into.word)) {
        case tag::free:
            into.counter = sequence_of(into.word);
            into.capacity = 0;
            return true;
        case tag::sole:
        case tag::reader:
            into.counter = sequence_of(into.word);
            into.capacity = lock_capacity;
            into.claims.push_back({.sequence = into.counter,
                                   .slot = slot_of(into.word),
                                   .cell = 0,
                                   .weight = tag_of(into.word) == tag::sole ? lock_capacity : 1,
                                   .holds = true});
            return true;
        case tag::line: {
            const block from = in.block_at(block_of(into.word));
            const bool sound = from.words != nullptr && decode(from, record, into);
            // A block is rewritten only after its word has changed: what was read under one word is whole.
            if (word.load(std::memory_order_seq_cst) == into.word) {
                return sound;
            }
            break;
        }
        }
    }
}

bool still_counts(const segment& in, std::uint32_t slot_index, std::int64_t at_ms, bool may_expire) noexcept {
    slot& each = in.data().slots[slot_index];
    std::uint64_t session = each.session.load(std::memory_order_seq_cst);
    for (;;) {
        if (state_of(session) != session_state::alive) {
            return false;
        }
        const bool living = pulse_of(each).living();
        if (living && (!may_expire || at_ms <= deadline_ms_of(session))) {
            return true;
        }
        if (!living) {
            futex_wake_all(each.life); // As pass_on_deaths does, for those that a reader finds.
            futex_wake_all(each.second_life);
        }
        if (each.session.compare_exchange_strong(session, with_state(session, session_state::expired))) {
            if (living) {
                call_session(in, slot_index);
            }
            return false;
        }
    }
}

bool expire(const segment& in, std::uint32_t slot_index) noexcept {
    word64& word = in.data().slots[slot_index].session;
    std::uint64_t session = word.load(std::memory_order_seq_cst);
    while (state_of(session) == session_state::alive) {
        if (word.compare_exchange_strong(session, with_state(session, session_state::expired))) {
            call_session(in, slot_index);
            return true;
        }
    }
    return false;
}

HOLDFAST_BEFORE_WAKE void poke(segment_layout& in, std::uint32_t slot_index,
                               std::uint32_t cell_index) noexcept {
    if (cell_index == 0 || cell_index >= cell_count) {
        return;
    }
    word32& futex = in.cells[cell_index].futex;
    const std::uint32_t before = futex.fetch_add(cell::poke, std::memory_order_acq_rel);
    if ((before & cell::asleep) != 0) {
        futex_wake_all(futex);
    }
    if ((before & cell::unattended) != 0) {
        in.poked[cell_index / 64].fetch_or(std::uint64_t{1} << cell_index % 64);
        word32& mailbox = in.slots[slot_index].mailbox;
        if ((mailbox.fetch_add(cell::poke) & cell::asleep) != 0) {
            futex_wake_all(mailbox);
        }
    }
}

void poke_holder(const segment& in, const standing& holder) noexcept {
    if (holder.cell != 0) {
        poke(in, holder.slot, holder.cell);
        return;
    }
    call_session(in, holder.slot);
}

HOLDFAST_BEFORE_WAKE void poke_watchers(record& changed) noexcept {
    std::uint32_t seen = changed.watch.load();
    while ((seen & cell::asleep) != 0) {
        if (changed.watch.compare_exchange_weak(seen, (seen & ~cell::asleep) + cell::poke)) {
            futex_wake_all(changed.watch);
            return;
        }
    }
}

change_result change_line(const segment& in, std::uint32_t record, const editor& by, line_edit& edit) {
    line before;
    line after;
    for (;;) {
        if (!read_line(in, record, before)) {
            return change_result::corrupt;
        }
        after = before;
        const bool purged = purge(in, after, by.may_expire);
        after.counter = before.counter + 1;
        const bool wanted = edit.apply(after);
        if (!wanted && !purged) {
            return change_result::unchanged;
        }
        after.grant();
        switch (publish(in, record, by, before.word, after)) {
        case publishing::done:
            poke_granted(in, before, after);
            poke_watchers(in.data().records[record]);
            return wanted ? change_result::changed : change_result::unchanged;
        case publishing::no_space:
            return change_result::no_space;
        case publishing::raced:
            break;
        }
    }
}

change_result remove_claim(const segment& in, std::uint32_t record, const editor& by,
                           std::uint32_t slot_index, std::uint64_t sequence) {
    if (hand_over(in, record, by.owner, slot_index, sequence)) {
        return change_result::changed;
    }
    struct removal final : line_edit {
        std::uint32_t slot;
        std::uint64_t sequence;
        removal(std::uint32_t s, std::uint64_t n) : slot(s), sequence(n) {}
        bool apply(line& now) override {
            return std::erase_if(now.claims, [this](const standing& each) {
                       return each.slot == slot && each.sequence == sequence;
                   }) != 0;
        }
    } edit(slot_index, sequence);
    return change_line(in, record, by, edit);
}

change_result repair_line(const segment& in, std::uint32_t record, const editor& by) {
    struct nothing final : line_edit {
        bool apply(line&) override { return false; }
    } edit;
    return change_line(in, record, by, edit);
}

} // namespace holdfast::local
