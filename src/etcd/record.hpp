// One claim as the store carries it: its key, how far it is, and the news that its claim_events is still to
// hear.
//
// Thread-safe. News may be pushed under any lock and is delivered outside of all, one piece after the other,
// by whichever thread comes first: so calls for one claim never overlap, and keep the order of the pushes.
//
//   phase     | becomes                          | by
//   ----------+----------------------------------+-------------------------------------------
//   idle      | appending; removing              | append; remove
//   appending | waiting, granted, idle, removing | the reply; idle: refused
//   waiting   | granted, ended, removing         | the line; ended: its key is gone
//   granted   | ended, removing                  | its key is gone; remove
//   removing  | ended, idle                      | the reply; idle: not confirmed, remove may be repeated
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <holdfast/store.hpp>

#include "core/annotations.hpp"
#include "core/line.hpp"
#include "rpc.hpp"

namespace holdfast::etcd {

/// One piece of news for a claim.
struct notice {
    enum class kind { waiting, granted, refused, lost, removed };
    kind what;
    std::uint64_t token = 0;
    loss_reason why = loss_reason::none;
    std::optional<error> failure = {};
    std::shared_ptr<claim_events> to = {}; ///< Filled in by push().
};

class key_pool;

class record {
  public:
    enum class phase { idle, appending, waiting, granted, removing, ended };

    record(std::string prefix, std::string key, const claim& what)
        : prefix(std::move(prefix)), key(std::move(key)), shape{what.weight, what.capacity, false} {}
    ~record();
    record(const record&) = delete;
    record& operator=(const record&) = delete;

    /// Keeps the claim alive until its last news has been delivered. Under `guard`, with the change of phase.
    void keep(std::shared_ptr<claim_events> entry) REQUIRES(guard);
    /// Drops the claim and all its news.
    void abandon();

    /// Under `guard`, with the change of phase.
    void push(notice news) REQUIRES(guard);
    /// Hands out what was pushed, and wakes the thread that drives for it. Never under a lock.
    void deliver(transport& wakes);

    const std::string prefix; ///< Of its line.
    const std::string key;    ///< No other claim's as long as this record lives.
    const core::place shape;

    core::latch guard;
    phase now GUARDED_BY(guard) = phase::idle;
    bool remove_wanted GUARDED_BY(guard) = false; ///< remove() came while the append was under way.
    bool doubtful GUARDED_BY(guard) = false;      ///< An append without an answer may still be executed.
    std::int64_t create_revision GUARDED_BY(guard) = 0; ///< 0: not known, or not there.
    /// Where its key goes when the record ends; set once nothing is under way any more that could touch it.
    std::weak_ptr<key_pool> key_goes_to GUARDED_BY(guard);
    bool key_is_spent GUARDED_BY(guard) =
        false; ///< Something unconditional was sent for it, or may have been.

  private:
    core::latch news_guard_;
    std::shared_ptr<claim_events> entry_ GUARDED_BY(news_guard_);
    std::vector<notice>
        news_ GUARDED_BY(news_guard_); ///< Hardly ever more than one; a deque costs 600 bytes empty.
    bool delivering_ GUARDED_BY(news_guard_) = false;
};

} // namespace holdfast::etcd
