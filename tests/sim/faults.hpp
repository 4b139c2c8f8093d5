// What can go wrong in a run, how often, and how often it did.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace holdfast::sim {

enum class fault : std::size_t {
    lost_request,
    lost_reply,
    late_request,
    late_reply,
    repeated_request,
    repeated_reply,
    reordered,
    disconnect,
    reconnect,
    drift,
    pause,
    pause_beyond_ttl,
    crash_of_holder,
    crash_of_waiter,
    expiry,
    revoked,
    broken,
    amnesia,
    foreign_holder,
    count,
};

inline constexpr auto fault_kinds = static_cast<std::size_t>(fault::count);
inline constexpr std::array<std::string_view, fault_kinds> fault_names{
    "lost request",      "lost reply",        "late request",  "late reply",
    "repeated request",  "repeated reply",    "reordered",     "disconnect",
    "reconnect",         "clock drift",       "pause",         "pause beyond the TTL",
    "crash of a holder", "crash of a waiter", "lease expired", "session revoked",
    "hold broken",       "memory lost",       "foreign holder"};

/// Counts of one run or of many. Plain numbers, so that it can go through a pipe.
struct tally {
    std::array<std::uint64_t, fault_kinds> faults{};
    std::uint64_t runs = 0;
    std::uint64_t operations = 0;
    std::uint64_t granted = 0;
    std::uint64_t losses = 0;
    std::uint64_t writes = 0;
    std::uint64_t refused_writes = 0;
    std::uint64_t steps = 0;
    std::uint64_t violations = 0;
    std::uint64_t virtual_ms = 0;
    std::uint64_t longest_recovery_ms = 0; ///< From the end of all faults to the last waiter's grant.

    void note(fault kind) noexcept { ++faults[static_cast<std::size_t>(kind)]; }
    std::uint64_t of(fault kind) const noexcept { return faults[static_cast<std::size_t>(kind)]; }
    void add(const tally& other) noexcept;
};

} // namespace holdfast::sim
