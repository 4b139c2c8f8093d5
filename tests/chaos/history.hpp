// What the promises say about a finished history of turns, seen from outside of Holdfast.
//
// A turn is what one worker saw of one hold, on the one clock of the machine. Nothing here knows a store.
// Plain functions, no thread safety needed.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <holdfast/store.hpp>

namespace holdfast::chaos {

struct turn {
    instant called{};   ///< Before acquire was called.
    instant acquired{}; ///< After it had returned.
    instant ended{};    ///< The last instant at which it is certain that it held: just before the release
                        ///< was called, or the last look that did not find it lost.
    std::uint64_t token = 0;
    std::uint32_t weight = 1;
    /// How long it may go on beside its successor: what somebody revoked is told, within a while.
    std::chrono::nanoseconds overlap{};
};

struct promise {
    std::string name;
    std::uint32_t capacity = 1;
    bool one_at_a_time = true; ///< Every hold excludes every other, so that grants have an order.
};

/// The promises that were broken, as sentences: two never have one token; whoever came wholly later has the
/// higher one; never more than the capacity is held at once. At most a few of each kind.
std::vector<std::string> broken_promises(const promise& what, std::vector<turn> turns);

} // namespace holdfast::chaos
