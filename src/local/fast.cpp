#include "fast.hpp"

#include <thread>

#include "core/adjacent.hpp"
#include "core/fork.hpp"

#include "hand_over.hpp"
#include "joining.hpp"
#include "line.hpp"
#include "pools.hpp"
#include "waiting.hpp"

namespace holdfast::local {
namespace {

/// A cell that is given back: whoever still pokes it then wakes its next user once for nothing.
struct own_cell {
    cell* const at; ///< Null: it is none.
    own_cell(const segment& of, std::uint32_t which) : at(which == 0 ? nullptr : &of.data().cells[which]) {}
    ~own_cell() {
        if (at != nullptr) {
            give_cell(*at);
        }
    }
    own_cell(const own_cell&) = delete;
    own_cell& operator=(const own_cell&) = delete;
};

/// What the two paths have in common. What a release reads lies together: after a hold of milliseconds every
/// cache line is a cold one.
class alignas(64) record_path : public fast_path, public std::enable_shared_from_this<record_path> {
  public:
    record_path(std::shared_ptr<seat> on, std::shared_ptr<followed_holds> followed, std::uint32_t record)
        : word_(on->memory().data().records[record].word), mark_(core::process_mark()), record_(record),
          memory_(on->memory()), owner_(on->owner()), at_(memory_.data().records[record]),
          base_(at_.base.load(std::memory_order_acquire)), seat_(std::move(on)),
          followed_(std::move(followed)) {}

    void follow(std::uint64_t ticket, std::shared_ptr<claim_events> entry) override {
        if (seat_->forked()) {
            entry->on_lost(loss_reason::forked);
            return;
        }
        // The fast path itself reads no clock; to be told of a loss costs more than that anyway.
        note_since(at_, sequence_of(ticket), realtime_ms());
        followed_->add(record_, sequence_of(ticket), entry, {shared_from_this(), &followers_});
    }

    void remove(std::uint64_t ticket) noexcept override {
        if (seat_->forked()) {
            return;
        }
        forget_follower(ticket);
        // Without a free block the line cannot be rewritten now; others free theirs within microseconds.
        // Should it last, the hold ends with the session.
        for (int turn = 0; turn < 100; ++turn) {
            if (remove_claim(seat_->memory(), record_, seat_->as_editor(), seat_->slot_index(),
                             sequence_of(ticket)) != change_result::no_space) {
                return;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }

    bool holds(std::uint64_t ticket) const noexcept override {
        if (seat_->forked() || !seat_->alive()) {
            return false;
        }
        const std::uint64_t seen = word_.load(std::memory_order_acquire);
        if (tag_of(seen) != tag::line) {
            return seen == ticket;
        }
        // Others stand there too: the claim is in a line now.
        line now;
        return read_line(seat_->memory(), record_, now) &&
               now.shows_hold(seat_->slot_index(), sequence_of(ticket));
    }

  protected:
    /// Puts this word, our sole claim, in the place of a free one. false: it was not free, or our session has
    /// ended.
    bool swap_in(std::uint64_t free, std::uint64_t mine) noexcept {
        if (!word_.compare_exchange_strong(free, mine, std::memory_order_seq_cst,
                                           std::memory_order_relaxed)) {
            return false;
        }
        // Either we see here that we have been declared expired, or whoever declares it sees our swap.
        if (!seat_->alive()) {
            remove(mine);
            return false;
        }
        tell_watchers();
        return true;
    }

    /// The other way round. false: it is not there alone.
    bool swap_out(std::uint64_t mine) noexcept {
        std::uint64_t seen = mine;
        if (!word_.compare_exchange_strong(seen, free_word(sequence_of(mine)), std::memory_order_seq_cst,
                                           std::memory_order_relaxed)) {
            return false;
        }
        tell_watchers();
        return true;
    }

    /// Before the line is touched, so that nobody takes the release for a loss. One load of a word beside
    /// those that every release reads, unless a hold of this path is followed; whoever releases comes after
    /// whoever followed, so the load needs no order.
    void forget_follower(std::uint64_t ticket) noexcept {
        if (followers_.load(std::memory_order_relaxed) != 0) [[unlikely]] {
            followed_->forget(record_, sequence_of(ticket));
        }
    }

    /// One load from the cache line that we have just written to.
    void tell_watchers() noexcept {
        if ((at_.watch.load(std::memory_order_seq_cst) & cell::asleep) != 0) [[unlikely]] {
            poke_watchers(at_);
        }
    }

    word64& word_;
    const std::uint64_t mark_;
    followed_holds::count followers_{0};
    const std::uint32_t record_;
    const segment& memory_;
    const owner_id owner_;
    local::record& at_;
    const std::uint64_t base_;
    const std::shared_ptr<seat> seat_;
    const std::shared_ptr<followed_holds> followed_;
};

class exclusive_path final : public record_path {
  public:
    using record_path::record_path;

    [[gnu::hot]] token try_acquire(std::uint64_t& ticket) noexcept override {
        const std::uint64_t seen = word_.load(std::memory_order_relaxed);
        if (tag_of(seen) != tag::free || sequence_of(seen) >= max_sequence || core::forked_since(mark_)) {
            return {};
        }
        const std::uint64_t sequence = sequence_of(seen) + 1;
        ticket = sole_word(sequence, owner_slot(owner_));
        return swap_in(seen, ticket) ? token(base_ + sequence) : token();
    }

    HOLDFAST_AFTER_WAKE token wait_and_acquire(std::uint64_t& ticket,
                                               const void* written_next) noexcept override {
        const place mine = join();
        const own_cell given_back{memory_, mine.cell};
        if (mine.sequence == 0) {
            return {};
        }
        // Read now: after the wait it would be cold.
        const std::uint64_t base = base_;
        const std::uint32_t slot = owner_slot(owner_);
        const life_sign life = seat_->sign();
        local::record& at = at_;
        if (!mine.holds) {
            std::uint32_t seen = 0;
            if (wait_in_line(*seat_, record_, mine.sequence, given_back.at->futex, instant::max(), nullptr,
                             seen, {&ticket, written_next}) != look::outcome::holds) {
                return {};
            }
        }
        ticket = sole_word(mine.sequence, slot);
        // Either we see here that we have been declared expired, or whoever declares it sees our swap. Nobody
        // may have noticed yet that we stood still for too long.
        if (!life.alive() || now(clock_source::monotonic) >= life.deadline()) [[unlikely]] {
            remove(ticket);
            return {};
        }
        note_since(at, mine.sequence, realtime_ms());
        return token(base + mine.sequence);
    }

    way_out direct_release() noexcept override {
        return {
            .release = &released_after_wait, .path = this, .places = {&memory_.data(), &at_}, .mark = mark_};
    }

    [[gnu::hot]] bool release(std::uint64_t ticket) noexcept override {
        __builtin_prefetch(&word_, 1);
        if (core::forked_since(mark_)) {
            return false;
        }
        forget_follower(ticket);
        return swap_out(ticket) || hand_over(memory_, record_, owner_, slot_of(ticket), sequence_of(ticket));
    }

  private:
    HOLDFAST_BEFORE_WAKE static bool released_after_wait(const way_out& by, std::uint64_t ticket) noexcept {
        auto& in = *static_cast<segment_layout*>(by.places[0]);
        auto& at = *static_cast<local::record*>(by.places[1]);
        __builtin_prefetch(&at.word, 1);
        if (core::forked_since(by.mark)) {
            return false;
        }
        if (const auto next = hand_to_next(in, at, slot_of(ticket), sequence_of(ticket))) {
            if (!is_alive(in, *next)) {
                auto& path = static_cast<exclusive_path&>(*by.path);
                static_cast<void>(repair_line(path.memory_, path.record_, {.owner = path.owner_}));
            }
            return true;
        }
        return by.path->release(ticket);
    }

    /// Where we stand in line; no sequence: nowhere, but the cell may be ours all the same.
    struct place {
        std::uint64_t sequence = 0;
        std::uint32_t cell = 0;
        bool holds = false;
    };

    /// Apart from what is run after the wait.
    [[gnu::noinline]] place join() noexcept {
        if (seat_->forked()) {
            return {};
        }
        joining edit(*seat_, lock_capacity, lock_capacity, false, true);
        const change_result outcome = change_line(memory_, record_, seat_->as_editor(), edit);
        if (outcome != change_result::changed || edit.came_to != joining::verdict::joined) {
            return {.sequence = 0, .cell = edit.cell};
        }
        if (!edit.holds) {
            memory_.data().cells[edit.cell].since_ms.store(realtime_ms(), std::memory_order_release);
        }
        return {.sequence = edit.sequence, .cell = edit.cell, .holds = edit.holds};
    }
};

/// Shared access and permits. A sole reader is told by the word; who comes to others puts himself at the end
/// of their line, if he holds there at once.
class shared_path final : public record_path {
  public:
    shared_path(std::shared_ptr<seat> on, std::shared_ptr<followed_holds> followed, std::uint32_t record,
                std::uint32_t weight, std::uint32_t capacity)
        : record_path(std::move(on), std::move(followed), record), weight_(weight), capacity_(capacity) {}

    [[gnu::hot]] token try_acquire(std::uint64_t& ticket) noexcept override {
        const std::uint64_t seen = word_.load(std::memory_order_relaxed);
        if (tag_of(seen) == tag::sole || core::forked_since(mark_)) {
            return {};
        }
        if (tag_of(seen) == tag::free && sequence_of(seen) < max_sequence && capacity_ == lock_capacity) {
            const std::uint64_t sequence = sequence_of(seen) + 1;
            ticket = reader_word(sequence, owner_slot(owner_));
            if (swap_in(seen, ticket)) {
                return token(base_ + sequence);
            }
        }
        return join(ticket);
    }

    [[gnu::hot]] bool release(std::uint64_t ticket) noexcept override {
        if (core::forked_since(mark_)) {
            return false;
        }
        forget_follower(ticket);
        return swap_out(ticket) || remove_claim(memory_, record_, seat_->as_editor(), slot_of(ticket),
                                                sequence_of(ticket)) == change_result::changed;
    }

  private:
    token join(std::uint64_t& ticket) noexcept {
        joining edit(*seat_, weight_, capacity_, true, true);
        edit.goes_without_cell = true;
        if (change_line(memory_, record_, seat_->as_editor(), edit) != change_result::changed) {
            return {};
        }
        ticket = reader_word(edit.sequence, owner_slot(owner_));
        if (!seat_->alive()) { // As in swap_in.
            remove(ticket);
            return {};
        }
        return token(base_ + edit.sequence);
    }

    const std::uint32_t weight_;
    const std::uint32_t capacity_;
};

} // namespace

std::shared_ptr<fast_path> make_fast_path(std::shared_ptr<seat> on, std::shared_ptr<followed_holds> followed,
                                          std::uint32_t record, std::uint32_t weight,
                                          std::uint32_t capacity) {
    if (capacity == lock_capacity && weight == lock_capacity) {
        return std::make_shared<exclusive_path>(std::move(on), std::move(followed), record);
    }
    const bool fits = capacity == lock_capacity ? weight == 1 : capacity <= max_permits && weight <= capacity;
    return fits && weight > 0
               ? std::make_shared<shared_path>(std::move(on), std::move(followed), record, weight, capacity)
               : nullptr;
}

} // namespace holdfast::local
