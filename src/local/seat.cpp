#include "seat.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <thread>

#include "folder.hpp"
#include "proposal.hpp"

namespace holdfast::local {
namespace {

using std::chrono::nanoseconds;

/// The first millisecond after the lease: others never count us expired before we do.
std::int64_t deadline_ms(instant sent_at, nanoseconds ttl) noexcept {
    return ttl == until_death
               ? never_ms
               : std::chrono::ceil<std::chrono::milliseconds>(sent_at + ttl).time_since_epoch().count();
}

void write_info(slot_info& into, const session_request& request) {
    timespec realtime{};
    clock_gettime(CLOCK_REALTIME, &realtime);
    const std::array<std::string_view, 4> parts{request.who.user, request.who.host, request.who.command,
                                                request.who.why};
    std::array<char, slot_info::text_words * 8> text{};
    std::uint64_t lengths = 0;
    std::size_t at = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::size_t room = i < 2 ? 63 : 128; // 63 + 63 + 128 + 128 fit.
        const std::string_view part = parts[i].substr(0, room);
        std::memcpy(text.data() + at, part.data(), part.size());
        at += part.size();
        lengths |= std::uint64_t{part.size()} << (16 * i);
    }
    for (std::size_t i = 0; i < into.text.size(); ++i) {
        std::uint64_t piece = 0;
        std::memcpy(&piece, text.data() + 8 * i, 8);
        into.text[i].store(piece, std::memory_order_release);
    }
    into.pid.store(static_cast<std::uint64_t>(request.who.pid), std::memory_order_release);
    into.ttl_ns.store(static_cast<std::uint64_t>(request.ttl.count()), std::memory_order_release);
    into.started_ms.store(static_cast<std::uint64_t>(realtime.tv_sec) * 1000, std::memory_order_release);
    into.lengths.store(lengths, std::memory_order_release);
}

/// Whether any claim of this slot stands in the record's line.
bool stands_in(const segment& in, std::uint32_t record, std::uint32_t slot_index, line& scratch) {
    const std::uint64_t word = in.data().records[record].word.load(std::memory_order_seq_cst);
    if (tag_of(word) == tag::free || (tag_of(word) != tag::line && slot_of(word) != slot_index)) {
        return false;
    }
    return read_line(in, record, scratch) &&
           std::any_of(scratch.claims.begin(), scratch.claims.end(),
                       [&](const standing& each) { return each.slot == slot_index; });
}

/// Takes the claims of an expired session out of every line; the repair does it because they do not count any
/// more. false: a line could not be rewritten, for lack of blocks or because it is damaged; the slot must not
/// be used again before it is.
bool sweep(const segment& in, std::uint32_t slot_index, owner_id by) {
    const std::uint32_t used = std::min(in.data().head.record_high.load(), record_count);
    line scratch;
    for (std::uint32_t record = 0; record < used; ++record) {
        // A line that cannot be read is left: nothing can be done about it, and whoever uses it is told.
        for (int turn = 0; stands_in(in, record, slot_index, scratch); ++turn) {
            if (turn == 100) {
                return false;
            }
            if (repair_line(in, record, {by, true}) == change_result::no_space) {
                std::this_thread::sleep_for(std::chrono::milliseconds(1)); // Others give theirs back soon.
            }
        }
        drop_stale_proposal(in, record);
    }
    return true;
}

/// A slot whose process is wholly gone becomes free. We have its byte, so nobody else does the same.
bool reclaim(const segment& in, std::uint32_t slot_index) {
    slot& gone = in.data().slots[slot_index];
    // Nobody is there any more who could renew it, whatever its life words say.
    gone.life.store(0);
    gone.second_life.store(0);
    static_cast<void>(still_counts(in, slot_index, now_ms(), true));
    const std::uint32_t generation = generation_of(gone.session.load());
    if (!sweep(in, slot_index, owner_of(slot_index, generation))) {
        return false;
    }
    gone.session.store(session_word(0, generation, session_state::free));
    return true;
}

/// Whether it may be that the process of a slot is gone: its death shows, or, should the kernel not have told
/// of it, its lease is over. Only its byte of the file says for certain that it is wholly gone; for slots of
/// this very store not even that.
bool is_left_over(engine& of, std::uint32_t index) noexcept {
    slot& each = of.memory().data().slots[index];
    const std::uint64_t session = each.session.load();
    return state_of(session) != session_state::free && !of.ours(index) &&
           (!pulse_of(each).living() || state_of(session) == session_state::expired ||
            now_ms() > deadline_ms_of(session));
}

void reclaim_left_overs(engine& of) {
    const segment& in = of.memory();
    const std::uint32_t used = std::min(in.data().head.slot_high.load(), slot_count);
    for (std::uint32_t i = 0; i < used; ++i) {
        if (is_left_over(of, i) && lock_byte(in.fd(), slot_byte(i), true)) {
            if (is_left_over(of, i)) {
                static_cast<void>(reclaim(in, i));
            }
            unlock_byte(in.fd(), slot_byte(i));
        }
    }
}

/// A slot that is free and whose byte we have now; no_slot when there is none.
constexpr std::uint32_t no_slot = slot_count;
std::uint32_t find_slot(engine& of) {
    const segment& in = of.memory();
    for (const bool left_overs : {false, true}) {
        for (std::uint32_t i = 0; i < slot_count; ++i) {
            slot& each = in.data().slots[i];
            const auto suits = [&] {
                return left_overs ? is_left_over(of, i)
                                  : state_of(each.session.load()) == session_state::free;
            };
            if (!suits() || !lock_byte(in.fd(), slot_byte(i), true)) {
                continue;
            }
            if (suits() && (!left_overs || reclaim(in, i))) {
                return i;
            }
            unlock_byte(in.fd(), slot_byte(i));
        }
    }
    return no_slot;
}

} // namespace

seat::seat(std::shared_ptr<class engine> of, std::uint32_t slot_index, std::uint32_t generation) noexcept
    : engine_(std::move(of)), mark_(core::process_mark()), slot_(slot_index),
      at_(engine_->memory().data().slots[slot_index]), generation_(generation),
      expected_(session_word(0, generation, session_state::alive) & session_mask) {}

result<std::shared_ptr<seat>> seat::take(std::shared_ptr<class engine> of, const session_request& request) {
    const segment& in = of->memory();
    // Slots of this store have bytes locked by the same open file: only the latch keeps its threads apart.
    const core::latch_guard locked(of->slots());
    const std::uint32_t index = find_slot(*of);
    if (index == no_slot) {
        return error(errc::unavailable, "all " + std::to_string(slot_count) + " places for sessions in " +
                                            in.file() +
                                            " are in use; share one locks object within a program");
    }
    word32& high = in.data().head.slot_high;
    std::uint32_t seen = high.load();
    while (seen <= index && !high.compare_exchange_weak(seen, index + 1)) {
    }
    slot& mine = in.data().slots[index];
    const std::uint32_t generation = (generation_of(mine.session.load()) + 1) & generation_mask;
    std::shared_ptr<seat> taken(new seat(of, index, generation));
    write_info(mine.info, request);
    mine.second_life.store(0);
    of->lives().attach(index);
    of->claim_slot(index, true);
    taken->opened_ = {now(clock_source::monotonic), request.ttl};
    mine.session.store(
        session_word(deadline_ms(taken->opened_.sent_at, request.ttl), generation, session_state::alive));
    reclaim_left_overs(*of);
    return taken;
}

seat::~seat() {
    if (forked()) {
        return;
    }
    const bool empty = leave();
    const core::latch_guard locked(engine_->slots());
    engine_->lives().detach(slot_);
    in_memory().second_life.store(0);
    futex_wake_all(in_memory().second_life);
    engine_->claim_slot(slot_, false);
    if (empty) { // Else it looks like the slot of a dead process, and the next one who opens a session sees
                 // to it.
        in_memory().session.store(session_word(0, generation_, session_state::free));
    }
    unlock_byte(memory().fd(), slot_byte(slot_));
}

loss_reason seat::why_gone() const noexcept {
    return alive()                     ? loss_reason::broken
           : memory().still_in_place() ? loss_reason::expired
                                       : loss_reason::replaced;
}

std::optional<renewal> seat::renew() noexcept {
    word64& word = in_memory().session;
    const renewal next{now(clock_source::monotonic), opened_.ttl};
    std::uint64_t seen = word.load();
    while ((seen & session_mask) == expected_) {
        const bool late =
            std::chrono::floor<std::chrono::milliseconds>(next.sent_at).time_since_epoch().count() >
            deadline_ms_of(seen);
        const std::uint64_t wanted =
            late ? with_state(seen, session_state::expired)
                 : session_word(deadline_ms(next.sent_at, next.ttl), generation_, session_state::alive);
        if (word.compare_exchange_weak(seen, wanted)) {
            return late ? std::nullopt : std::optional(next);
        }
    }
    return std::nullopt;
}

bool seat::leave() noexcept {
    word64& word = in_memory().session;
    std::uint64_t seen = word.load();
    while ((seen & session_mask) == expected_ &&
           !word.compare_exchange_weak(seen, with_state(seen, session_state::expired))) {
    }
    return sweep(memory(), slot_, owner());
}

std::optional<holder_info> who_sits(const segment& in, std::uint32_t slot_index) {
    const slot& seen = in.data().slots[slot_index];
    const std::uint64_t before = seen.session.load(std::memory_order_acquire);
    if (state_of(before) == session_state::free) {
        return std::nullopt;
    }
    std::array<char, slot_info::text_words * 8> text{};
    for (std::size_t i = 0; i < seen.info.text.size(); ++i) {
        const std::uint64_t piece = seen.info.text[i].load(std::memory_order_acquire);
        std::memcpy(text.data() + 8 * i, &piece, 8);
    }
    holder_info who;
    who.pid = static_cast<std::int64_t>(seen.info.pid.load(std::memory_order_acquire));
    const std::uint64_t lengths = seen.info.lengths.load(std::memory_order_acquire);
    if (generation_of(seen.session.load(std::memory_order_acquire)) != generation_of(before)) {
        return std::nullopt;
    }
    std::size_t at = 0;
    std::size_t index = 0;
    for (std::string* part : {&who.user, &who.host, &who.command, &who.why}) {
        const std::size_t bytes = std::min<std::size_t>(lengths >> (16 * index++) & 0xFFFF, text.size() - at);
        part->assign(text.data() + at, bytes);
        at += bytes;
    }
    return who;
}

} // namespace holdfast::local
