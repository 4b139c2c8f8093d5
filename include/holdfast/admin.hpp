// For people and monitoring: who holds what, since when, and who waits.
//
// locks::list() returns one resource_status per name that anybody holds or waits for: its claims in order,
// holders first. What it shows was true at one moment and decides nothing.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <holdfast/holdfast.hpp>

namespace holdfast {

/// live: a healthy claim of ours; stale: past its lease or its process is gone; foreign: another client's.
enum class claim_state { live, stale, foreign };

/// The state to show for a claim.
constexpr claim_state state_of(const claim_status& status) noexcept {
    if (status.foreign) {
        return claim_state::foreign;
    }
    return status.stale ? claim_state::stale : claim_state::live;
}

} // namespace holdfast
