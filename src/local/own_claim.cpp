#include "own_claim.hpp"

#include <utility>

#include "pools.hpp"

namespace holdfast::local {

own_claim::~own_claim() {
    if (!on->forked()) {
        give_cell(on->memory(), cell);
    }
}

void own_claim::tell(std::function<void(claim_events&)> event) {
    {
        const core::latch_guard locked(guard_);
        if (std::exchange(telling_, true)) {
            queue_.push_back(std::move(event));
            return;
        }
    }
    event(*entry);
    for (;;) {
        std::vector<std::function<void(claim_events&)>> next;
        {
            const core::latch_guard locked(guard_);
            if (queue_.empty()) {
                telling_ = false;
                return;
            }
            next.swap(queue_);
        }
        for (const auto& each : next) {
            each(*entry);
        }
    }
}

} // namespace holdfast::local
