// How a failed call is told to people and to the core: its class, the endpoint and the remedy. Pure
// functions.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include <holdfast/error.hpp>

#include "rpc.hpp"

namespace holdfast::etcd {

/// What a failed call may have done.
enum class effect {
    none,   ///< It only reads, or may be repeated as often as one likes.
    change, ///< If it was sent it may have been executed.
};

/// The error for a call that did not succeed. `step` is what was being done, such as "taking a place in
/// line". `ends_in` goes with unknown_outcome: when what may have been left ends by itself.
error to_error(const outcome& what, const std::string& step, effect kind,
               std::optional<std::chrono::nanoseconds> ends_in = {});

/// A reply that is not etcd's, or breaks a promise of its protocol.
error bad_reply(const outcome& what, const std::string& step, effect kind,
                std::optional<std::chrono::nanoseconds> ends_in = {});

/// The server's word that a lease does not exist (any more).
bool is_lease_gone(const outcome& what) noexcept;

} // namespace holdfast::etcd
