// One claim of ours, from its append to its end: the state machine behind `held` and behind a waiting
// acquire.
//
// The store tells it what happens (claim_events, any thread), the acquirer and the handle's owner ask and act
// (one thread at a time), the session's threads tick it. Thread-safe in that division. It sends nothing
// itself.
//
//   phase     | on_waiting | on_granted | on_refused | on_lost | begin_remove | on_removed
//   ----------+------------+------------+------------+---------+--------------+-----------------------------
//   appending | waiting    | held       | refused    | lost    | removing     | -
//   waiting   | -          | held       | -          | lost    | removing     | -
//   held      | -          | -          | -          | lost    | removing     | -
//   refused   | -          | -          | -          | -       | removing     | -     (begin_append:
//   appending) lost      | -          | -          | -          | -       | removing     | - removing  | - |
//   -          | -          | -       | -            | removed; on failure it stays removed   | -          |
//   -          | -          | -       | -            | -
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <stop_token>

#include <holdfast/store.hpp>

#include "annotations.hpp"
#include "event_queue.hpp"
#include "grip.hpp"
#include "lease.hpp"
#include "notifier.hpp"

namespace holdfast::core {

class session;

/// Somebody who is told that a claim of theirs has changed, on any thread; must return at once.
class wakeable {
  public:
    virtual ~wakeable() = default;
    virtual void wake() noexcept = 0;
};

class hold final : public claim_events, public std::enable_shared_from_this<hold> {
  public:
    enum class phase { appending, waiting, held, refused, lost, removing, removed };

    /// A claim about to be appended.
    hold(struct claim what, std::shared_ptr<session> owner);
    /// A claim that the fast path has already granted. It lives as long as `on`, or as the session where
    /// null.
    hold(struct claim what, std::shared_ptr<session> owner, std::shared_ptr<fast_path> fast,
         std::uint64_t ticket, holdfast::token granted, lease* on = nullptr);

    // What the store tells.
    void on_waiting() noexcept override;
    void on_granted(holdfast::token granted) noexcept override;
    void on_refused(error why) noexcept override;
    void on_renewed(instant sent_at) noexcept override;
    void on_lost(loss_reason why) noexcept override;
    void on_removed(result<void> outcome) noexcept override;

    // What the acquirer does, before there is a handle.
    /// Who does not drive the claim is woken after every change from now on, besides its place.
    void wakes(std::weak_ptr<wakeable> hears) noexcept;
    /// It becomes a handle, after having waited so long: its events begin.
    void acquired(std::chrono::nanoseconds waited) noexcept;
    /// After a refusal: nothing of it is in line, and it must not keep its session alive on whoever looks at
    /// it last.
    void give_up_session() noexcept { owner_.reset(); }
    /// Before an append is sent: counts validity from here. Also before an append is repeated.
    void begin_append(instant sent_at) noexcept;
    phase now_in() const noexcept;
    /// Why the store refused it; in phase refused.
    error refusal() const;

    // What the handle's owner does.
    /// What its handle holds on by.
    grip& own_grip() noexcept { return own_grip_; }
    /// Whether it came by the store's synchronous path.
    bool is_fast() const noexcept { return fast_ != nullptr; }
    /// Whether this is a forked child's copy.
    bool inherited() const noexcept;
    /// Before it is released.
    const struct session_terms& terms() const noexcept;
    /// Before it is released: see held.
    std::string engine_key() const;
    std::optional<life_word> second_life();
    holdfast::token token() const noexcept { return holdfast::token(token_.load(std::memory_order_acquire)); }
    /// The session it lives on; null once released.
    const std::shared_ptr<session>& owner() const noexcept { return owner_; }
    /// What its validity is counted on: of its own, or the session's.
    lease& lease_in_use() noexcept { return *lease_; }
    std::chrono::nanoseconds valid_for() noexcept;
    loss_reason reason() noexcept;
    std::stop_token lost();
    /// Hears of its end without being asked: what a fast path granted does so only from here on.
    void listen();
    /// Ends it, waiting at most release_timeout; whatever then remains is left to the session. See
    /// held::release.
    result<void> release() noexcept;
    // The same in three steps, for who does not wait here: begin, wait until it has ended, finish.
    /// Sends the removal. Returns when to stop waiting for its confirmation.
    instant begin_release() noexcept;
    /// Whether there is an answer, or it is too late for one.
    bool release_ended(bool too_late) const noexcept;
    /// The outcome; what was not confirmed is left to the session.
    result<void> finish_release() noexcept;

    // What the session does.
    /// Ends it with this reason if it waits or holds; the first reason stays.
    void lose(loss_reason why) noexcept;
    /// A renewal that was sent at this instant may extend its own lease, answered or not.
    void renewal_sent(instant at) noexcept;
    /// Notices that the lease has run out.
    void tick(instant at) noexcept;
    /// Whether its own lease has run out and the store has not confirmed its removal: the store may not have
    /// noticed, and would go on renewing it.
    bool must_leave() const noexcept;
    /// Sends the removal once more if it has not been confirmed; false when there is nothing left to do.
    bool retry_removal(store_session& engine, instant at);
    /// The last instant at which it is certain to hold; the epoch once lost.
    instant deadline() const noexcept { return lease_->deadline(); }
    /// When it ends in the store by itself, if nothing renews it any more.
    instant store_end() const noexcept;

  private:
    void set_phase_and_notify(phase from_a, phase from_b, phase to) noexcept;
    void notify() noexcept;
    void end_here(phase next) noexcept REQUIRES(guard_);
    void tell_end(event::kind what, loss_reason why) noexcept REQUIRES(guard_);

    // Only the acquirer and the handle's owner touch it; it is given up when they are done, so that a claim
    // which the store still knows does not keep its session alive.
    std::shared_ptr<session> owner_;
    lease own_lease_;
    lease* const lease_; ///< Ours, or the session's.
    const std::chrono::nanoseconds ttl_;
    const std::chrono::nanoseconds op_timeout_;
    const clock_source clock_;
    const std::uint64_t mark_;
    const std::shared_ptr<notifier> notifier_;
    const std::shared_ptr<fast_path> fast_;
    const std::uint64_t ticket_ = 0;

    grip own_grip_;
    std::atomic<std::uint64_t> token_{0};
    std::atomic<loss_reason> reason_{loss_reason::none};

    mutable latch guard_;
    phase phase_ GUARDED_BY(guard_);
    bool gone_ GUARDED_BY(guard_) = false; ///< In phase lost: the store has confirmed that nothing is left.
    std::optional<error> refusal_ GUARDED_BY(guard_);
    std::shared_ptr<event_queue> events_ GUARDED_BY(guard_); ///< Null unless it is held and somebody listens.
    instant acquired_at_ GUARDED_BY(guard_);
    std::optional<error> removal_failure_ GUARDED_BY(guard_);
    std::optional<std::stop_source> lost_source_ GUARDED_BY(guard_);
    std::weak_ptr<wakeable> hears_ GUARDED_BY(guard_);
    // Only who releases touches these, and the store's answer to the removal, which he waits for.
    loss_reason lost_before_release_ = loss_reason::none;
    instant release_by_;
};

} // namespace holdfast::core
