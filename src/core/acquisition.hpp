// One acquire as a state machine: stand in line, wait, and leave no trace when it does not work out.
//
// It never waits itself. go_on() takes it as far as it can and says what it waits for; whoever drives it, a
// blocking caller (acquire.cpp) or the runner (async.cpp), waits in its own way and calls again. One thread
// at a time. It ends within its limits in every order of events: granted, or with nothing of it left in line,
// or with unknown_outcome and the time after which nothing is left.
//
//   state     | goes on when                      | to
//   ----------+-----------------------------------+-----------------------------------------------------------
//   beginning | at once                           | opening; done when cancelled
//   opening   | give() brought a session          | in_line (append sent); done by the fast path
//             | give() brought an error           | pausing -> beginning, or done
//   in_line   | held                              | done, or leaving if the grant came too late or went back
//             | lost                              | leaving
//             | refused, may come back            | pausing -> in_line (the same claim again), or leaving
//             | refused for good                  | leaving while it may be in line, else done
//             | stop request, time is up          | leaving
//   leaving   | removal confirmed, failed or late | pausing -> beginning after a loss, else done
//   pausing   | its time has passed, stop request | as said above
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include <holdfast/held.hpp>

#include "resource.hpp"

namespace holdfast::core {

/// How long the caller is prepared to wait, and what for.
struct patience {
    bool only_if_free = false;                     ///< busy instead of waiting; then without a limit.
    std::optional<std::chrono::nanoseconds> limit; ///< From the call on; none: as long as the store answers.
    std::stop_token stop;
    std::optional<std::string> proposal = {}; ///< Of an election's candidate.
    bool tells = true;                        ///< Whether the sink hears of the hold.
};

class acquisition {
  public:
    enum class step {
        done,          ///< take_outcome().
        needs_session, ///< give() one, asked for with give_up().
        waits,  ///< For claim(): until its place is notified, until() or, if heeds_stop(), a stop request.
        pauses, ///< Until until(), or a stop request.
    };

    /// `from` must outlive the acquisition.
    acquisition(resource& from, std::uint32_t weight, patience how);

    /// Before the first go_on(): who does not drive the claim has himself woken whenever it has changed.
    void hears(std::weak_ptr<wakeable> who) noexcept { hears_ = std::move(who); }

    step go_on();
    void give(result<std::shared_ptr<session>> opened) { opened_ = std::move(opened); }
    result<held> take_outcome() { return std::move(*outcome_); }

    const std::stop_token& stop() const noexcept { return how_.stop; }
    /// While leaving, a stop request changes nothing.
    bool heeds_stop() const noexcept { return state_ != state::leaving; }
    instant until() const noexcept;
    /// When a store that does not answer is given up.
    instant give_up() const noexcept { return give_up_; }
    hold& claim() noexcept { return *claim_; }
    store_session& engine() noexcept { return on_->engine(); }

  private:
    enum class state { beginning, opening, in_line, leaving, pausing, done };

    void begin();
    void enter_line();
    bool look();
    void append();
    void tell_waiting();
    void refused();
    void take();
    void leave(error why);
    void left();
    void settle(error why);
    void pause_before(state next);
    void after_pause();
    void finish(result<held> outcome);
    bool try_again_after(const error& why) const;
    void reachable() { give_up_ = unreachable_limit(from_.client().now()); }
    instant unreachable_limit(instant at) const;

    resource& from_;
    const std::uint32_t weight_;
    const patience how_;
    std::weak_ptr<wakeable> hears_;
    const instant until_;
    instant started_; ///< Only where events are told.
    bool told_waiting_ = false;
    instant give_up_; ///< Moves on whenever the store answers.

    state state_ = state::beginning;
    std::optional<result<std::shared_ptr<session>>> opened_;
    std::shared_ptr<session> on_;
    std::shared_ptr<hold> claim_;
    bool perhaps_in_line_ = false; ///< An append of the present claim has got no answer.
    std::uint64_t highest_token_ = 0;
    std::optional<error> why_left_;
    instant leave_by_;
    instant doubt_until_; ///< Until then something of this call may be left in the store, and why.
    std::string doubt_;
    state after_pause_ = state::beginning;
    instant pause_until_;
    std::chrono::nanoseconds pause_;
    std::optional<result<held>> outcome_;
};

} // namespace holdfast::core
