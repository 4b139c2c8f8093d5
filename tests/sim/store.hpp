// The store contract (holdfast/store.hpp) over the simulated network: what the core is run on.
//
// As unreliable as the contract allows: requests time out with unknown_outcome, what a message failed to tell
// is found out by looking again, and nothing is repeated that may have been executed.
#pragma once

#include <memory>
#include <string>

#include <holdfast/store.hpp>

#include "engine.hpp"
#include "network.hpp"

namespace holdfast::sim {

/// What the stores of one run share.
struct backend {
    kernel& on;
    engine& behind;
    network& over;
    std::chrono::nanoseconds op_timeout{};
    /// In messages of a thousand: requests that are executed and answered before append() or remove() return.
    int at_once = 0;
    dice chance{0};
    /// Where notices to a session go.
    std::map<session_key, std::function<void(const notice&)>> listeners = {};
    /// Every claim that was appended, for the checker's look at its deadline.
    std::function<void(const std::shared_ptr<claim_events>&)> appended = {};
};

/// A connection of the calling thread's process.
std::unique_ptr<store> connect(backend& to);

} // namespace holdfast::sim
