// Our presence in a store: one lease, kept alive by a thread of its own, and the claims that live on it.
//
// Two threads, neither of them the store's: *upkeep* renews every ttl/3 and repeats removals that were not
// confirmed; *alarm* watches the deadline on a timer of the kernel, so that a renewal that hangs cannot hide
// a loss. Once lost, a session stays lost; the client opens another. Thread-safe. With options::threads_later
// there are none until start_threads(), and whoever drops the last reference ends the session himself.
//
// Whoever drops the last reference tells upkeep, which ends the session at the store and deletes it; he waits
// for that at most release_timeout, and not at all where there is nothing left to end or he is on one of the
// session's own threads.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include <holdfast/store.hpp>

#include "alarm.hpp"
#include "annotations.hpp"
#include "event_queue.hpp"
#include "hold.hpp"
#include "lease.hpp"
#include "notifier.hpp"
#include "quiet_thread.hpp"
#include "runner.hpp"

namespace holdfast::core {

/// What a session needs to know of its client.
struct session_terms {
    std::shared_ptr<store> engine;
    std::shared_ptr<notifier> notices;   ///< Where users hear of losses.
    std::shared_ptr<runner> callbacks;   ///< Where asynchronous operations go on and complete.
    std::shared_ptr<event_queue> events; ///< Null unless the user has set a sink.
    std::weak_ptr<event_queue> audience; ///< Kept by whoever the user knows of: see event_queue.
    store_traits traits;
    std::chrono::nanoseconds ttl{};
    std::chrono::nanoseconds op_timeout{};
    std::chrono::nanoseconds release_timeout{};
    bool threads_later = false;    ///< See options.
    bool store_until_exit = false; ///< See options.
    holder_info who;
};

class session : public std::enable_shared_from_this<session> {
  public:
    /// Opens one. One round trip. Errors as of store::open.
    static result<std::shared_ptr<session>> open(const session_terms& terms, instant give_up);
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    const session_terms& terms() const noexcept { return terms_; }
    store_session& engine() noexcept { return *engine_; }
    lease& own_lease() noexcept { return lease_; }
    std::chrono::nanoseconds granted_ttl() const noexcept { return granted_ttl_; }
    instant now() const noexcept { return holdfast::now(terms_.traits.clock); }
    const std::array<std::uint8_t, 16>& id() const noexcept { return id_; }
    /// Of the process that opened it: see fork.hpp.
    std::uint64_t mark() const noexcept { return mark_; }
    loss_reason reason() const noexcept { return reason_.load(std::memory_order_acquire); }
    /// Where reason() looks.
    const std::atomic<loss_reason>& where_reason() const noexcept { return reason_; }
    bool alive() noexcept { return reason() == loss_reason::none && lease_.remaining(now()).count() > 0; }

    /// Upkeep and alarm, and those of the store, unless they are there; open() has done so without
    /// options::threads_later. Until then nothing is renewed. Error: unavailable, no thread left.
    result<void> start_threads();
    bool has_threads() const noexcept { return has_threads_.load(std::memory_order_acquire); }

    /// The next claim of this session. Names no claim twice.
    claim_id next_id() noexcept;
    /// From now on the hold hears of the session's end.
    void watch(const std::shared_ptr<hold>& claim);
    /// The store says it does not know us: the next renewal, which decides, is made at once.
    void doubt() noexcept;
    /// Whoever is about to drop a reference that may be the last has until then to wait for the end.
    void end_by(instant limit) noexcept { end_by_.store(limit.time_since_epoch().count()); }
    /// The store did not confirm its removal: tried again until its lease has ended.
    void remove_later(std::shared_ptr<hold> claim);

  private:
    session(session_terms terms, std::array<std::uint8_t, 16> id, std::unique_ptr<alarm_clock> alarm,
            std::shared_ptr<store_session> engine);
    ~session() = default;

    /// How upkeep is called, and how it says that all is over; it outlives the session.
    struct call {
        std::atomic<bool> stopping{false};
        parking_place place;
        std::atomic<bool> ended{false};
        parking_place ended_place;
    };
    static void end(session* unwanted) noexcept;
    void lose(loss_reason why);
    void close_engine() noexcept;
    void live();
    void upkeep();
    instant renew_once();
    void tell(event::kind what) noexcept;
    void retry_removals(instant at);
    void watch_deadlines();
    instant next_deadline(instant at);
    std::vector<std::shared_ptr<hold>> watched();

    const session_terms terms_;
    const std::array<std::uint8_t, 16> id_;
    const std::shared_ptr<store_session> engine_;
    const std::chrono::nanoseconds granted_ttl_;
    const std::uint64_t mark_;
    lease lease_; ///< Never runs out where every claim has a lease of its own.
    std::atomic<loss_reason> reason_{loss_reason::none};
    std::atomic<std::uint64_t> last_number_{0};

    latch guard_;
    std::vector<std::weak_ptr<hold>> watched_ GUARDED_BY(guard_);
    std::size_t purge_at_ GUARDED_BY(guard_) = 64;
    std::vector<std::shared_ptr<hold>> removals_ GUARDED_BY(guard_);

    const std::shared_ptr<call> call_ = std::make_shared<struct call>();
    std::atomic<std::int64_t> end_by_{instant::max().time_since_epoch().count()};
    std::atomic<bool> in_doubt_{false};
    std::atomic<bool> closed_{false};
    bool at_risk_ = false; ///< The upkeep thread's: the last renewal failed.
    const std::unique_ptr<alarm_clock> alarm_;
    latch starting_;
    std::atomic<bool> has_threads_{false};
    quiet_thread upkeep_thread_;
    quiet_thread alarm_thread_;
};

} // namespace holdfast::core
