// What happens to the locks of one connection, told to one function of the program's: for logs and metrics.
//
// Set options::sink. It is called on a thread of the library's own, one event after another, in the order in
// which they happened; so it needs no lock of its own against itself, and however slow it is, it delays no
// lock, no renewal and no loss. It must not block for long all the same: at most 8192 events wait for it, and
// those beyond are dropped and counted (event::missed). What it throws is swallowed. It may use the locks
// object, but not wait for events of its own. It is called no more once the locks object and everything made
// from it are gone; whoever drops the last of them outside the sink waits until it has been told all.
//
// It decides nothing: a program that must stop when its lock is lost watches held::lost(). Without a sink it
// costs one pointer test per operation, and there is no thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <holdfast/types.hpp>

namespace holdfast {

/// One thing that happened.
struct event {
    /// What it was. The numbers are stable: they may be logged and compared across versions.
    enum class kind {
        waiting = 1,  ///< A claim stands in line, because others hold.
        acquired = 2, ///< It holds: token, waited.
        renewed = 3,  ///< The session, and all its holds, were renewed. No name: it concerns them all.
        at_risk = 4,  ///< A renewal failed; it is tried again until the deadline. Once until one succeeds. No
                      ///< name.
        lost = 5,     ///< The hold ended without its release: token, held_for, reason.
        released = 6, ///< The hold was released, whether the store has confirmed it yet or not: token,
                      ///< held_for.
    };

    kind what = kind::waiting;              ///< Which of them it is.
    std::string store;                      ///< The URL, without its password.
    std::string name;                       ///< The resource; empty where it concerns the session.
    holdfast::token token;                  ///< Of the hold; 0 where there is none.
    std::chrono::nanoseconds waited{};      ///< acquired: from the call to the hold.
    std::chrono::nanoseconds held_for{};    ///< lost, released: since it was acquired.
    loss_reason reason = loss_reason::none; ///< lost: why.
    std::uint64_t missed = 0; ///< How many events before this one were dropped, because the sink was slow.
};

/// "waiting", "acquired", ...
std::string_view to_string(event::kind what) noexcept;

/// Where events go; see the top of this file.
using event_sink = std::function<void(const event&)>;

} // namespace holdfast
