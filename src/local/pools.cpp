#include "pools.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>

namespace holdfast::local {
namespace {

bool take(const segment& in, word64& owner, owner_id me) noexcept {
    std::uint64_t before = owner.load(std::memory_order_acquire);
    // One's own mark can stand there too: another thread of this process is at work on it.
    return in.is_void(before) && owner.compare_exchange_strong(before, me, std::memory_order_acq_rel);
}

/// Whether its record names this block, as its line or as its proposal. The loads also order what we write
/// into it after that look.
bool is_named(const segment& in, const block& each, std::uint32_t index) noexcept {
    const std::uint64_t owner = each.record().load(std::memory_order_acquire);
    if (owner >= record_count) {
        return false;
    }
    const record& named_by = in.data().records[owner];
    const std::uint64_t word = named_by.word.load(std::memory_order_seq_cst);
    return (tag_of(word) == tag::line && block_of(word) == index) ||
           proposal_block(named_by.proposal.load(std::memory_order_seq_cst)) == index;
}

std::uint64_t hash_of(std::string_view name) noexcept {
    std::uint64_t hash = 14695981039346656037U; // FNV-1a, then stirred: its low bits alone are weak.
    for (const char each : name) {
        hash = (hash ^ static_cast<unsigned char>(each)) * 1099511628211U;
    }
    hash ^= hash >> 32;
    hash *= 0x9E3779B97F4A7C15U;
    return hash ^ hash >> 29;
}

bool has_name(const segment& in, std::uint32_t index, std::uint64_t hash, std::string_view name) noexcept {
    const record& each = in.data().records[index];
    if (each.hash.load(std::memory_order_acquire) != hash ||
        each.name_bytes.load(std::memory_order_acquire) != name.size()) {
        return false;
    }
    for (std::size_t at = 0; at < name.size(); at += 8) {
        std::uint64_t piece = 0;
        std::memcpy(&piece, name.data() + at, std::min<std::size_t>(8, name.size() - at));
        if (in.data().names[index].words[at / 8].load(std::memory_order_acquire) != piece) {
            return false;
        }
    }
    return true;
}

/// A record that nobody can see yet, with this name in it.
std::uint32_t prepare_record(const segment& in, owner_id me, std::uint64_t hash,
                             std::string_view name) noexcept {
    segment_layout& data = in.data();
    std::uint32_t index = no_index;
    if (data.head.record_high.load() < record_count) {
        const std::uint32_t fresh = data.head.record_high.fetch_add(1);
        // Should somebody have written to the count, it may be one that is in use.
        if (fresh < record_count && !is_published(in, fresh) && take(in, data.records[fresh].owner, me)) {
            index = fresh;
        }
    }
    for (std::uint32_t i = 0; i < record_count && index == no_index; ++i) {
        // What was begun and not finished: by a process that died, or for a name that another one made first.
        if (!is_published(in, i) && take(in, data.records[i].owner, me)) {
            if (is_published(in, i)) {
                data.records[i].owner.store(0, std::memory_order_release);
                continue;
            }
            index = i;
        }
    }
    if (index == no_index) {
        return no_index;
    }
    record& mine = data.records[index];
    for (std::size_t at = 0; at < name.size(); at += 8) {
        std::uint64_t piece = 0;
        std::memcpy(&piece, name.data() + at, std::min<std::size_t>(8, name.size() - at));
        data.names[index].words[at / 8].store(piece, std::memory_order_release);
    }
    timespec at{};
    clock_gettime(CLOCK_REALTIME, &at);
    const std::uint64_t realtime =
        static_cast<std::uint64_t>(at.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(at.tv_nsec);
    mine.base.store(std::max(realtime, data.head.token_floor.load() + 1), std::memory_order_release);
    mine.word.store(free_word(0), std::memory_order_release);
    mine.since.store(0, std::memory_order_release);
    mine.proposal.store(0, std::memory_order_release);
    mine.hash.store(hash, std::memory_order_release);
    mine.name_bytes.store(static_cast<std::uint32_t>(name.size()), std::memory_order_release);
    return index;
}

} // namespace

std::uint32_t take_block(const segment& in, owner_id me, std::size_t claims) noexcept {
    // Neighbours in time keep to different parts of the pool; a thread goes round in its own part.
    thread_local std::uint32_t hint = 0;
    for (const block_class& kind : block_classes) {
        if (kind.claims < claims) {
            continue;
        }
        const std::uint32_t start = owner_slot(me) * 16 + hint;
        for (std::uint32_t i = 0; i < kind.count; ++i) {
            const std::uint32_t index = kind.first + (start + i) % kind.count;
            const block each = in.block_at(index);
            if (is_named(in, each, index) || !take(in, each.owner(), me)) {
                continue;
            }
            if (is_named(in, each, index)) { // Somebody took, published and gave it back in between.
                each.owner().store(0, std::memory_order_release);
                continue;
            }
            if (i > 8) {
                hint += i; // Much of our part is held: do not search it again and again.
            }
            return index;
        }
    }
    return no_index;
}

void give_block(const segment& in, std::uint32_t index) noexcept {
    in.block_at(index).owner().store(0, std::memory_order_release);
}

std::uint32_t take_cell(const segment& in, owner_id me) noexcept {
    thread_local std::uint32_t hint = 0;
    const std::uint32_t start = owner_slot(me) * (cell_count / slot_count) + hint;
    for (std::uint32_t i = 0; i < cell_count; ++i) {
        const std::uint32_t index = (start + i) % cell_count;
        if (index != 0 && take(in, in.data().cells[index].owner, me)) {
            hint += i > 8 ? i : 0;
            word32& futex = in.data().cells[index].futex;
            futex.fetch_and(~cell::asleep, std::memory_order_acq_rel);
            futex.fetch_or(cell::unattended, std::memory_order_acq_rel);
            return index;
        }
    }
    return 0;
}

bool is_published(const segment& in, std::uint32_t index) noexcept {
    const std::uint32_t home = in.data().records[index].home.load(std::memory_order_acquire);
    return home < table_count && in.data().table[home].load(std::memory_order_acquire) == index + 1;
}

found_name find_record(const segment& in, std::string_view name) noexcept {
    using enum found_name::outcome;
    const std::uint64_t hash = hash_of(name);
    for (std::uint32_t step = 0; step < table_count; ++step) {
        const auto home = static_cast<std::uint32_t>((hash + step) % table_count);
        const std::uint32_t seen = in.data().table[home].load(std::memory_order_acquire);
        if (seen == 0) {
            return {absent, no_index};
        }
        if (seen > record_count) {
            return {corrupt, no_index};
        }
        if (has_name(in, seen - 1, hash, name)) {
            return {found, seen - 1};
        }
    }
    return {absent, no_index};
}

found_name find_or_make_record(const segment& in, owner_id me, std::string_view name) noexcept {
    using enum found_name::outcome;
    segment_layout& data = in.data();
    const std::uint64_t hash = hash_of(name);
    std::uint32_t mine = no_index;
    const auto done = [&](found_name outcome) {
        if (mine != no_index && outcome.record != mine) {
            data.records[mine].owner.store(0, std::memory_order_release);
        }
        return outcome;
    };
    for (std::uint32_t step = 0; step < table_count; ++step) {
        const std::uint32_t home = static_cast<std::uint32_t>((hash + step) % table_count);
        word32& entry = data.table[home];
        std::uint32_t seen = entry.load(std::memory_order_acquire);
        if (seen == 0) {
            if (mine == no_index) {
                mine = prepare_record(in, me, hash, name);
                if (mine == no_index) {
                    return {full, no_index};
                }
            }
            data.records[mine].home.store(home, std::memory_order_release);
            if (entry.compare_exchange_strong(seen, mine + 1, std::memory_order_acq_rel)) {
                return {found, mine};
            }
        }
        if (seen > record_count) {
            return done({corrupt, no_index});
        }
        if (has_name(in, seen - 1, hash, name)) {
            return done({found, seen - 1});
        }
    }
    return done({full, no_index});
}

std::optional<std::string> name_of(const segment& in, std::uint32_t index) {
    const std::uint32_t bytes = in.data().records[index].name_bytes.load(std::memory_order_acquire);
    if (bytes == 0 || bytes > resource_name::max_bytes) {
        return std::nullopt;
    }
    std::string name(bytes, '\0');
    for (std::size_t at = 0; at < bytes; at += 8) {
        const std::uint64_t piece = in.data().names[index].words[at / 8].load(std::memory_order_acquire);
        std::memcpy(name.data() + at, &piece, std::min<std::size_t>(8, bytes - at));
    }
    return name;
}

} // namespace holdfast::local
