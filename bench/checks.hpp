// The figures that lines of the three engines have in common.
#pragma once

#include "crew.hpp"
#include "frame.hpp"

namespace holdfast::bench {

/// Runs the cycle in batches until the length has passed; one worker's slice.
template <typename Cycle>
slice cycles(Cycle&& cycle, std::chrono::milliseconds length, int batch) {
    using clock = std::chrono::steady_clock;
    slice result;
    result.workers.resize(1);
    const auto began = clock::now();
    auto at = began;
    do {
        for (int turn = 0; turn < batch; ++turn) {
            cycle();
        }
        result.workers[0].turns += static_cast<std::uint64_t>(batch);
        at = clock::now();
    } while (at - began < length);
    result.seconds = std::chrono::duration<double>(at - began).count();
    return result;
}

inline double rate_of(const slice& each) {
    return each.rate();
}

/// "mutual exclusion held": a figure that must be 0, or nothing else here means anything.
check check_collisions(const crew& ours);
/// p50 and p99 of the entrant's waits, as a figure without a goal.
check check_waits(const entrant& of);

} // namespace holdfast::bench
