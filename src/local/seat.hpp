// One session's slot in the segment: taking it, renewing it, and giving it back with nothing left in any
// line.
//
// The slot is given back when the last user of the seat is gone (a session and its fast paths share it), so
// that no operation under way can still write its number into a word after somebody else has got it.
// Thread-safe.
#pragma once

#include <memory>
#include <optional>

#include <holdfast/store.hpp>

#include "engine.hpp"
#include "line.hpp"

namespace holdfast::local {

/// Whether a session lives and how long, without a look at its seat: for who has just been woken, to whom all
/// but his own stack is cold.
struct life_sign {
    const word64& session;
    const std::uint64_t expected; ///< The session word without its deadline, while alive.
    static constexpr std::uint64_t mask = (std::uint64_t{1} << (generation_bits + 2)) - 1;

    /// Whether the session is not marked expired: one load, no clock.
    bool alive() const noexcept { return (session.load(std::memory_order_seq_cst) & mask) == expected; }
    /// When others may declare the session expired, as it stands now.
    instant deadline() const noexcept {
        return instant(std::chrono::milliseconds(deadline_ms_of(session.load(std::memory_order_acquire))));
    }
};

class seat {
  public:
    /// Takes a free slot, or one whose process is gone. Errors: unavailable, when every slot is in use.
    static result<std::shared_ptr<seat>> take(std::shared_ptr<engine> of, const session_request& request);
    ~seat();
    seat(const seat&) = delete;
    seat& operator=(const seat&) = delete;

    std::uint32_t slot_index() const noexcept { return slot_; }
    owner_id owner() const noexcept { return owner_of(slot_, generation_); }
    class engine& engine() const noexcept {
        return *engine_;
    }
    const segment& memory() const noexcept { return engine_->memory(); }
    slot& in_memory() const noexcept { return at_; }
    bool forked() const noexcept { return core::forked_since(mark_); }
    const renewal& opened() const noexcept { return opened_; }
    std::chrono::nanoseconds ttl() const noexcept { return opened_.ttl; }
    editor as_editor(bool may_expire = true) const noexcept { return {owner(), may_expire}; }

    life_sign sign() const noexcept { return {in_memory().session, expected_}; }
    bool alive() const noexcept { return sign().alive(); }

    /// Why a claim of ours is not there any more.
    loss_reason why_gone() const noexcept;

    /// Moves the deadline. Nothing when the session has expired; then it is marked so.
    std::optional<renewal> renew() noexcept;

    /// Marks the session expired and takes its claims out of every line. Idempotent. false: some are left.
    bool leave() noexcept;

  private:
    static constexpr std::uint64_t session_mask = life_sign::mask;

    seat(std::shared_ptr<class engine> of, std::uint32_t slot, std::uint32_t generation) noexcept;

    const std::shared_ptr<class engine> engine_;
    const std::uint64_t mark_;
    const std::uint32_t slot_;
    slot& at_;
    const std::uint32_t generation_;
    const std::uint64_t expected_; ///< The session word without its deadline, while alive.
    renewal opened_;
};

/// What people see of a slot; empty when its session changed meanwhile or nobody sits there.
std::optional<holder_info> who_sits(const segment& in, std::uint32_t slot);

} // namespace holdfast::local
