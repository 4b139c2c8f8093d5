// The holds of the synchronous path that somebody follows (fast_path::follow).
//
// Such a hold is nothing but a number in its resource's word or line: it has no claim id and no cell to be
// poked by. Whoever takes one away, or declares its session expired, rings the session's mailbox, and look()
// finds out which it was. Thread-safe. Entries are not kept alive: whoever has dropped one is not told.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <utility>

#include <holdfast/store.hpp>

#include "core/annotations.hpp"

#include "seat.hpp"

namespace holdfast::local {

class followed_holds {
  public:
    explicit followed_holds(std::shared_ptr<seat> on) : seat_(std::move(on)) {}

    /// Of one path: how many of its holds are in here, so that releases of others need not look.
    using count = std::atomic<std::uint32_t>;

    /// From now on the entry is told when the hold is gone; perhaps before this returns.
    void add(std::uint32_t record, std::uint64_t sequence, const std::shared_ptr<claim_events>& entry,
             const std::shared_ptr<count>& of_path);
    /// Before the hold is released: whatever look() finds from then on is not told.
    void forget(std::uint32_t record, std::uint64_t sequence) noexcept;
    /// Tells those whose hold is gone.
    void look();
    /// The session has been closed: what still holds ends with it, and is not told.
    void close() noexcept;

  private:
    using key = std::pair<std::uint32_t, std::uint64_t>; ///< Record, sequence.
    struct follower {
        std::weak_ptr<claim_events> entry;
        std::weak_ptr<count> of_path;
    };

    /// Why this hold is gone; none if it is not.
    loss_reason fate_of(const key& which) const;
    void tell_if_gone(const key& which);
    follower take(const key& which);

    const std::shared_ptr<seat> seat_;
    core::latch guard_;
    std::map<key, follower> holds_ GUARDED_BY(guard_);
    bool closed_ GUARDED_BY(guard_) = false;
};

} // namespace holdfast::local
