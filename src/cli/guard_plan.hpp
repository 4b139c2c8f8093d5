// When the guard ends the command, and why: pure decisions, time is passed in.
//
//   from     | to          | by                                            | signals
//   ---------+-------------+-----------------------------------------------+-----------------------------
//   running  | lost        | deadline - margin - kill_after, or loss known | TERM, KILL at the latest
//   running  | too_long    | max_hold since the start                      | TERM, KILL kill_after later
//   running  | keeper_gone | the keeper died                               | KILL, or TERM first
//   running  | leftovers   | the command ended, descendants remain         | TERM and KILL, later
//   all but  | lost        | the same points of the deadline               | KILL at deadline - margin
//   lost     |             |                                               |
//
// lost is final: a renewal that succeeds later revives nothing, because TERM has already been sent.
// Not thread-safe; the guard has one thread.
#pragma once

#include <chrono>
#include <optional>

#include <holdfast/store.hpp>

#include "cli/options.hpp"

namespace holdfast::cli {

struct guard_limits {
    on_lost mode = on_lost::term;
    std::chrono::nanoseconds margin{};
    std::chrono::nanoseconds kill_after{};
    std::optional<std::chrono::nanoseconds> max_hold;
    /// Whether the claim outlives the keeper (a lease on a server) or ends with it (local).
    bool claim_outlives_keeper = true;
};

enum class guard_verdict { running, lost, too_long, keeper_gone, leftovers };

class guard_plan {
  public:
    guard_plan(const guard_limits& limits, instant started) : limits_(limits), started_(started) {}

    /// What to do now, and when to look again at the latest.
    struct step {
        bool terminate = false;
        bool kill = false; ///< Stays true in every later step: processes may still be forking.
        std::optional<instant> look_again;
    };

    /// The deadline is the newest one known.
    step at(instant now, instant deadline);

    /// The keeper has proof that the hold is gone.
    void hold_is_gone(instant now, instant deadline);
    void keeper_is_gone(instant now, instant deadline);
    /// The command ended, and some of its descendants did not.
    void command_left_others(instant now);

    guard_verdict verdict() const noexcept { return verdict_; }

  private:
    void end_by(guard_verdict why, instant terminate_at, instant kill_at);
    std::optional<instant> next_point(instant deadline) const;

    guard_limits limits_;
    instant started_;
    guard_verdict verdict_ = guard_verdict::running;
    std::optional<instant> terminate_at_;
    std::optional<instant> kill_at_;
    bool terminated_ = false;
};

/// Whether margin and kill_after leave at least half of the TTL to the command.
bool limits_fit(const guard_limits& limits, std::chrono::nanoseconds ttl) noexcept;

} // namespace holdfast::cli
