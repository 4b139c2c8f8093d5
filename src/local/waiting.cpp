#include "waiting.hpp"

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <thread>

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

[[gnu::hot]] look::outcome wait_in_line(const seat& from, std::uint32_t record, std::uint64_t sequence,
                                        word32& cell_futex, instant until, const wait_limit* limit,
                                        std::uint32_t& seen) {
    thread_local std::vector<futex_watch> watches; // A thread waits for one claim at a time.
    instant no_expiry_before{};
    instant wake = instant::max(); // When we meant to, at the last sleep.
    const segment& in = from.memory();
    const local::record& at = in.data().records[record];
    for (bool fresh = true;; fresh = false) {
        seen = cell_futex.load();
        // First what those who were woken by their grant have come for. Whatever is looked at after a long
        // wait is cold, and each look is a part of the hand-over.
        if (is_first(in, record, from.slot_index(), sequence)) {
            return from.alive() ? look::outcome::holds : look::outcome::gone;
        }
        if (limit != nullptr && limit->reached()) {
            return look::outcome::waits;
        }
        watches.assign(1, {&cell_futex, seen | cell::asleep});
        const instant looked = now(clock_source::monotonic);
        // If our own timer comes late, so may the renewals of others have been held up: they get as long once
        // more.
        if (looked > wake && looked - wake > from.ttl() / 3) {
            no_expiry_before = looked + from.ttl() / 3;
        }
        const bool may_expire = looked >= no_expiry_before;
        const look found = look_at_line(from, record, sequence, may_expire, watches, max_watches - 1);
        if (found.what != look::outcome::waits || (limit != nullptr && limit->reached()) || looked >= until) {
            return found.what;
        }
        wake = instant::max();
        if (fresh && found.may_be_soon && is_poked_soon(cell_futex, seen, looked)) {
            continue;
        }
        if (!cell_futex.compare_exchange_strong(seen, seen | cell::asleep)) {
            continue; // Poked since we looked.
        }
        wake = std::min(until, found.until);
        if (!may_expire) {
            wake = std::min(std::max(wake, no_expiry_before), until);
        }
        const bool poked_only = futex_wait_any(watches, wake);
        // Both are needed next, and cold: together they take as long as one.
        __builtin_prefetch(&at);
        __builtin_prefetch(&from.in_memory().session);
        if (!poked_only) {
            pass_on_deaths(in, watches);
        }
        cell_futex.fetch_and(~cell::asleep);
    }
}

} // namespace holdfast::local
