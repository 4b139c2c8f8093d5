#pragma once
// Waiting in tests: until a condition holds, never for a fixed time.

#include <algorithm>
#include <chrono>
#include <thread>

namespace holdfast::testing {

/// Polls `condition` every 1 to 5 ms until it is true or `bound` has passed; returns what it said last.
/// The condition runs on the caller's thread, at least once, and once more after the bound: a machine that
/// stood still for the whole bound does not fail a test whose condition holds by now.
template <typename Condition>
[[nodiscard]] bool wait_for(Condition&& condition, std::chrono::milliseconds bound) {
    using namespace std::chrono_literals;
    const auto deadline = std::chrono::steady_clock::now() + bound;
    auto step = 1ms;
    while (!condition()) {
        if (std::chrono::steady_clock::now() >= deadline) {
            return static_cast<bool>(condition());
        }
        std::this_thread::sleep_for(step);
        step = std::min(step + 1ms, 5ms);
    }
    return true;
}

} // namespace holdfast::testing
