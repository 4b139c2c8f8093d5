// What one seed stands for: sizes, times, and which faults may happen. A plain value.
#pragma once

#include <algorithm>
#include <array>
#include <string>

#include "engine.hpp"
#include "faults.hpp"
#include "network.hpp"

namespace holdfast::sim {

struct plan {
    explicit plan(std::uint64_t seed);

    std::uint64_t seed;
    std::chrono::nanoseconds ttl{};
    std::chrono::nanoseconds op_timeout{};
    std::chrono::nanoseconds release_timeout{};
    engine::settings engine_settings;
    weather sky;
    int at_once = 0;
    int yields = 0; ///< In a thousand calls of the store.
    std::array<bool, fault_kinds> enabled{};
    int processes = 1;
    int clients = 1;      ///< Per process.
    int actors = 1;       ///< Per process.
    int events = 0;       ///< Faults that happen once.
    bool listens = false; ///< Whether the clients have a sink.
    true_time heals{};    ///< No fault begins or goes on after this.

    bool may(fault kind) const noexcept { return enabled[static_cast<std::size_t>(kind)]; }
    std::chrono::nanoseconds granted_ttl() const noexcept { return ttl * engine_settings.ttl_percent / 100; }
    /// What whoever drops the last reference to a session may have to wait for, beside its own limit: a
    /// renewal that is under way, and the closing.
    std::chrono::nanoseconds ending_a_session() const noexcept {
        return std::min(op_timeout, granted_ttl() / 3) + release_timeout;
    }
    /// From when on, after the end of all faults, nothing of them may be felt.
    std::chrono::nanoseconds recovery() const noexcept;
};

} // namespace holdfast::sim
