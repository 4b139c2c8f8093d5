#include "waiting.hpp"

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>

#include "core/adjacent.hpp"

#include "hand_over.hpp"
#include "life.hpp"

namespace holdfast::local {
namespace {

using std::chrono::milliseconds;

/// Bounds what a watcher can miss because another one was woken and killed before it passed the wake on.
constexpr std::chrono::nanoseconds longest_sleep = std::chrono::seconds(1);

/// Whether the word tells of a session's life, and not of a cell, a mailbox or an engine.
bool is_life_word(const segment& in, const word32* word) noexcept {
    const auto offset =
        reinterpret_cast<std::uintptr_t>(word) - reinterpret_cast<std::uintptr_t>(in.data().slots.data());
    const auto part = offset % sizeof(slot);
    return offset < sizeof(segment_layout::slots) &&
           (part == offsetof(slot, life) || part == offsetof(slot, second_life));
}

/// Waits awake for a moment: two who pass a short hold to and fro need no sleep and no wake-up in between.
bool is_poked_soon(const word32& futex, std::uint32_t seen, instant from) noexcept {
    constexpr auto longest = std::chrono::microseconds(15);
    do {
        for (int i = 0; i < 64; ++i) {
            if (pokes_of(futex.load(std::memory_order_acquire)) != pokes_of(seen)) {
                return true;
            }
#if defined(__x86_64__) || defined(__i386__)
            __builtin_ia32_pause();
#endif
        }
    } while (now(clock_source::monotonic) < from + longest);
    return false;
}

} // namespace

std::size_t settle_line(const seat& from, std::uint32_t record, std::uint64_t sequence, bool may_expire,
                        line& now, look& seen, bool& no_space) {
    for (;;) {
        if (!read_line(from.memory(), record, now)) {
            seen.what = look::outcome::corrupt;
            return 0;
        }
        const std::int64_t at_ms = now_ms();
        bool sound = true;
        std::size_t mine = 0;
        std::uint32_t last = slot_count;
        for (; mine < now.claims.size() && now.claims[mine].sequence < sequence; ++mine) {
            if (now.claims[mine].slot != last) {
                last = now.claims[mine].slot;
                sound = still_counts(from.memory(), last, at_ms, may_expire) && sound;
            }
        }
        if (!from.alive()) {
            seen.what = look::outcome::gone;
            return 0;
        }
        if (sound) {
            return mine;
        }
        switch (repair_line(from.memory(), record, from.as_editor(may_expire))) {
        case change_result::corrupt:
            seen.what = look::outcome::corrupt;
            return 0;
        case change_result::no_space:
            no_space = true;
            return mine;
        default:
            break;
        }
    }
}

[[gnu::hot]] void pass_on_deaths(const segment& in, std::span<const futex_watch> watches) noexcept {
    for (const futex_watch& each : watches) {
        // Compared with what was slept on: the slot may have a new session by now, which lives.
        if (is_life_word(in, each.word) && each.word->load(std::memory_order_acquire) != each.value) {
            futex_wake_all(*each.word);
        }
    }
}

look look_at_line(const seat& from, std::uint32_t record, std::uint64_t sequence, bool may_expire,
                  std::vector<futex_watch>& watches, std::size_t room) {
    thread_local line now;
    look seen;
    bool no_space = false;
    const std::size_t mine = settle_line(from, record, sequence, may_expire, now, seen, no_space);
    if (seen.what != look::outcome::waits) {
        return seen;
    }
    if (mine >= now.claims.size() || now.claims[mine].sequence != sequence ||
        now.claims[mine].slot != from.slot_index()) {
        seen.what = look::outcome::gone;
        return seen;
    }
    if (now.claims[mine].holds) {
        seen.what = look::outcome::holds;
        return seen;
    }
    static const std::size_t processors = std::thread::hardware_concurrency();
    const std::size_t holders = now.granted();
    seen.may_be_soon = mine == holders && now.claims.size() - holders < processors;
    const instant at = holdfast::now(clock_source::monotonic);
    seen.until = std::min(seen.until, at + std::min(from.ttl() / 3, longest_sleep));
    std::bitset<slot_count> known;
    known.set(from.slot_index()); // Whoever is of our own session cannot die without us.
    const auto watch = [&](std::size_t place) {
        const std::uint32_t index = now.claims[place].slot;
        if (known.test(index)) {
            return;
        }
        known.set(index);
        slot& each = from.memory().data().slots[index];
        const pulse life = pulse_of(each);
        const std::uint64_t session = each.session.load(std::memory_order_acquire);
        if (!life.living() || state_of(session) != session_state::alive) {
            seen.until = at; // It died since we looked.
            return;
        }
        // The first millisecond in which it does not count any more.
        seen.until = std::min(seen.until, instant(milliseconds(deadline_ms_of(session) + 1)));
        if (room > 0) {
            watches.push_back({life.word, life.value});
            --room;
        }
    };
    watch(mine -
          1); // With more sessions ahead than one wait can name, the nearest and the foremost matter most.
    for (std::size_t place = 0; place + 1 < mine; ++place) {
        watch(place);
    }
    if (no_space) {
        // Whoever does not count is still ahead, which is no news: looked at without a pause we would only
        // keep those busy who will give their blocks back.
        seen.until = at + fallback_nap;
    }
    return seen;
}

namespace {

/// One wait, from look to look.
struct wait_of_one {
    const seat& from;
    const std::uint32_t record;
    const std::uint64_t sequence;
    word32& cell_futex;
    const instant until;
    const wait_limit* const limit;
    std::vector<futex_watch>& watches;

    bool fresh = true; ///< Nothing has been looked at yet.
    instant no_expiry_before{};
    instant wake = instant::max(); ///< When we mean to; after a sleep, when we meant to.
};

enum class next_step { sleep, again, end };

/// Looks, and prepares what to sleep on. Apart from what is run after a wake: see core/adjacent.hpp.
[[gnu::noinline]] next_step prepare_sleep(wait_of_one& me, std::uint32_t& seen, look::outcome& what) {
    const bool fresh = std::exchange(me.fresh, false);
    if (!fresh) {
        seen &= ~cell::asleep;
        me.cell_futex.fetch_and(~cell::asleep);
    }
    what = look::outcome::waits;
    if (me.limit != nullptr && me.limit->reached()) {
        return next_step::end;
    }
    me.watches.assign(1, {&me.cell_futex, seen | cell::asleep});
    const instant looked = now(clock_source::monotonic);
    // If our own timer comes late, so may the renewals of others have been held up: they get as long once
    // more.
    if (looked > me.wake && looked - me.wake > me.from.ttl() / 3) {
        me.no_expiry_before = looked + me.from.ttl() / 3;
    }
    const bool may_expire = looked >= me.no_expiry_before;
    const look found = look_at_line(me.from, me.record, me.sequence, may_expire, me.watches, max_watches - 1);
    what = found.what;
    if (what != look::outcome::waits || (me.limit != nullptr && me.limit->reached()) || looked >= me.until) {
        return next_step::end;
    }
    me.wake = instant::max();
    if (fresh && found.may_be_soon && is_poked_soon(me.cell_futex, seen, looked)) {
        return next_step::again;
    }
    if (!me.cell_futex.compare_exchange_strong(seen, seen | cell::asleep)) {
        return next_step::again; // Poked since we looked.
    }
    me.wake = std::min(me.until, found.until);
    if (!may_expire) {
        me.wake = std::min(std::max(me.wake, me.no_expiry_before), me.until);
    }
    return next_step::sleep;
}

} // namespace

HOLDFAST_AFTER_WAKE look::outcome wait_in_line(const seat& from, std::uint32_t record, std::uint64_t sequence,
                                               word32& cell_futex, instant until, const wait_limit* limit,
                                               std::uint32_t& seen, std::array<const void*, 2> written_next) {
    thread_local std::vector<futex_watch> watches; // A thread waits for one claim at a time.
    wait_of_one me{from, record, sequence, cell_futex, until, limit, watches};
    const segment& in = from.memory();
    const word64& word = in.data().records[record].word;
    const life_sign life = from.sign();
    const std::uint64_t granted = sole_word(sequence, from.slot_index());
    auto what = look::outcome::waits;
    for (;;) {
        seen = cell_futex.load();
        // First what those who were woken by their grant have come for. Whatever is looked at after a long
        // wait is cold, and each look is a part of the hand-over.
        if (word.load(std::memory_order_seq_cst) == granted ||
            is_first(in, record, from.slot_index(), sequence)) {
            return life.alive() ? look::outcome::holds : look::outcome::gone;
        }
        switch (prepare_sleep(me, seen, what)) {
        case next_step::end:
            return what;
        case next_step::again:
            continue;
        case next_step::sleep:
            break;
        }
        const bool poked_only = futex_wait_any(watches, me.wake);
        // All of it is needed next, and cold: together it takes as long as one.
        __builtin_prefetch(&word);
        __builtin_prefetch(&life.session);
        __builtin_prefetch(&cell_futex);
        __builtin_prefetch(written_next[0]);
        __builtin_prefetch(written_next[1]);
        if (!poked_only) {
            pass_on_deaths(in, watches);
        }
    }
}

} // namespace holdfast::local
