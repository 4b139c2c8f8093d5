// A claim of this process that stands in a line, or may: its place, its phase, and the queue of what is told
// to it.
//
// Events go through the queue, so that they never overlap and are never told under a lock, also when a
// driver, the store's thread and a remover meet. Thread-safe.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "core/annotations.hpp"

#include "seat.hpp"

namespace holdfast::local {

struct own_claim {
    enum class phase : std::uint8_t { joining, waiting, holds, ended };

    own_claim(std::shared_ptr<seat> sits, std::shared_ptr<claim_events> told)
        : on(std::move(sits)), entry(std::move(told)) {}
    /// Gives the cell back: whoever may still sleep on it, or is about to poke it, keeps the claim.
    ~own_claim();
    own_claim(const own_claim&) = delete;
    own_claim& operator=(const own_claim&) = delete;

    /// Tells an event after those already queued. Whoever finds nobody telling tells them all.
    void tell(std::function<void(claim_events&)> event);

    const std::shared_ptr<seat> on;
    const std::shared_ptr<claim_events> entry;
    std::uint64_t sequence = 0;
    std::uint64_t token = 0;
    std::uint32_t record = 0;
    std::uint32_t cell = 0;
    std::atomic<std::uint32_t> drivers{0};
    std::atomic<phase> now{phase::joining}; ///< What stands above is final once it waits or holds.
    std::atomic<bool> proposes{false};      ///< It has written a proposal, which ends with it.

  private:
    core::latch guard_;
    bool telling_ GUARDED_BY(guard_) = false;
    std::vector<std::function<void(claim_events&)>> queue_ GUARDED_BY(guard_);
};

} // namespace holdfast::local
