// Whether the cluster is still the one it was: its number, and a revision that never goes back.
//
// Thread-safe. A snapshot that was restored, or an address that leads to another cluster, shows in the heads
// of replies. Only replies to requests that a majority had its part in count for the revision (transactions,
// linearizable reads): a member that lags behind answers everything else from its own past.
#pragma once

#include <cstdint>

#include "core/annotations.hpp"
#include "messages.hpp"

namespace holdfast::etcd {

class witness {
  public:
    /// To be read before a request is sent: no answer to it may be older than this.
    std::int64_t floor() const;

    /// A reply of any kind: false when another cluster gave it.
    bool same_cluster(const header& head);
    /// A linearizable reply to a request that was sent after floor() was read: false when another cluster or
    /// an older state of this one gave it. That is told once: from then on the new state counts.
    bool accept(const header& head, std::int64_t floor_then);

  private:
    mutable core::latch guard_;
    std::uint64_t cluster_ GUARDED_BY(guard_) = 0; ///< 0: none seen yet.
    std::int64_t highest_ GUARDED_BY(guard_) = 0;
};

} // namespace holdfast::etcd
