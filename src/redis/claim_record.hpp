// What the parts of the session share: one claim as it is known inside the loop. For session.cpp, renewal.cpp
// and subscription.cpp only.
#pragma once

#include "core/boottime.hpp"
#include "core/lease.hpp"
#include "session.hpp"
#include "slots.hpp"

namespace holdfast::redis {

/// How a foreign holder, who tells nobody when it leaves, is looked at again.
inline constexpr std::chrono::milliseconds first_look{10};
inline constexpr std::chrono::milliseconds slowest_look{500};

struct session::record {
    explicit record(const claim& what)
        : id(to_string(what.id)), gate(what.name.bytes()), line(line_key(gate)),
          weight(std::to_string(what.weight)), capacity(std::to_string(what.capacity)),
          proposal(what.proposal), number(what.id.number), proposes(what.proposal.has_value()) {}

    const std::string id;
    const std::string gate;
    const std::string line;
    const std::string weight;
    const std::string capacity;
    const std::optional<std::string> proposal;
    const std::uint64_t number;

    bool proposes; ///< There may be a proposal in Redis, to be renewed and removed with the claim.
    std::shared_ptr<claim_events> entry; ///< While it is carried.
    phase at = phase::gone;
    std::atomic<channel> comes_by{channel::commands}; ///< What its caller waits for.
    bool only_if_free = false;
    bool left_holding = false;               ///< It held when its removal was sent.
    bool may_be_removed = false;             ///< A removal was sent, and nobody knows what came of it.
    instant remove_until{};                  ///< Until then a removal that failed is sent again,
    std::chrono::nanoseconds remove_pause{}; ///< after so long.
    unsigned appends = 0;                    ///< How often append() was called.
    std::uint64_t token = 0;                 ///< While it holds.
    instant asked_at{};
    instant leased_at{}; ///< When the newest confirmed lease was asked for.
    std::optional<loop::timer> next_poll;
    std::chrono::nanoseconds look = first_look;
    bool polling = false;
    bool watches_gate = false;
    /// There was reason to look while a question was under way, whose answer may be older than the reason.
    bool look_again = false;
};

/// Many questions that somebody waits for together.
struct session::batch {
    std::size_t left = 1; ///< One for the order that asks them.
    std::optional<error> problem;
    parking_place done;
};

template <typename Event>
void session::tell(const record_ptr& of, Event event) {
    const auto entry = of->entry;
    if (entry) {
        event(*entry);
        engine_->io->wake(entry->place);
    }
}

} // namespace holdfast::redis
