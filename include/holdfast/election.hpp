// Elections: one of many leads, says with what proposal, and the others hear of it.
//
// An election is a lock: campaigning waits in line, leading is holding, and the mutex of the same name is the
// same lock. What it adds is a text of the leader's, the proposal, and a way to follow it. An election object
// may be shared by threads and copied; a leadership is used as a held is.
//
// It does not promise that a deposed leader stops: as with every hold, check it, watch lost(), or fence the
// writes with its token. Observers see the store's state, which may be older than a leader's own deadline.
//
//   state of a candidate | becomes          | by
//   ---------------------+------------------+-----------------------------------------------------------
//   waiting              | leading          | the one ahead resigned, or lost its leadership
//   waiting              | (nothing)        | stop request, time-out; no trace is left in the line
//   leading              | leading          | proclaim(): the same leadership, another proposal
//   leading              | (nothing)        | resign(), destructor: the next in line leads
//   leading              | lost, for good   | its deadline, the store's word, a fork; proclaim() says lost
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include <holdfast/duration.hpp>
#include <holdfast/held.hpp>
#include <holdfast/store.hpp>

namespace holdfast {

namespace core {
class resource;
}

/// The right to lead. Everything that a held is, and: the proposal can be replaced.
class leadership final : public held {
  public:
    /// Leads nothing.
    leadership() noexcept = default;
    /// For election: a hold that campaigned.
    explicit leadership(held won) noexcept : held(std::move(won)) {}

    /// Replaces what observers read, at most max_proposal bytes. One round trip, within options::op_timeout.
    /// Never overlaps another call on this object. Errors: lost (somebody else may lead; nothing was
    /// written), misuse (too long, or resigned before), unavailable (nothing was written), unauthorized,
    /// unknown_outcome (the old or the new one stands: proclaim again).
    result<void> proclaim(std::string_view proposal);

    /// Ends the leadership; the next in line leads. As held::release.
    result<void> resign() { return release(); }
};

/// Who leads, as an observer sees it.
struct leader {
    std::string proposal;  ///< May be empty: a candidate's choice, or a foreign client that proposes nothing.
    holdfast::token token; ///< Of the leadership; the same for as long as it lasts. 0: a foreign client's.
    std::optional<holder_info> who; ///< For people; where the store knows.
    friend bool operator==(const leader& a, const leader& b) {
        return a.proposal == b.proposal && a.token == b.token;
    }
};

/// A name that one candidate leads.
class election {
  public:
    /// For locks::election.
    explicit election(std::shared_ptr<core::resource> state) noexcept : state_(std::move(state)) {}

    /// Waits in line until it leads, with this proposal (at most max_proposal bytes). Round trips and
    /// cancellation as of mutex::acquire. Errors: misuse (too long, or the store keeps no proposals), and as
    /// of mutex::acquire.
    result<leadership> campaign(std::string_view proposal, std::stop_token stop = {});

    /// Leads at once, or busy; see mutex::try_acquire.
    result<leadership> try_campaign(std::string_view proposal);

    /// As campaign, but timed_out once the duration has passed; see mutex::try_acquire_for.
    template <typename Rep, typename Period>
    result<leadership> campaign_for(std::string_view proposal, std::chrono::duration<Rep, Period> duration,
                                    std::stop_token stop = {}) {
        return campaign_within(proposal, detail::saturated(duration), std::move(stop));
    }

    /// As campaign_for, until the instant on any clock; the remaining time is taken once, at the call.
    template <typename Clock, typename Duration>
    result<leadership> campaign_until(std::string_view proposal,
                                      std::chrono::time_point<Clock, Duration> until,
                                      std::stop_token stop = {}) {
        return campaign_within(proposal, detail::time_left(until), std::move(stop));
    }

    /// Who leads now; nothing when nobody does, also when a mutex of the name is what holds: it proposes
    /// nothing. One round trip, within options::op_timeout. Errors: unavailable, unauthorized,
    /// unknown_outcome.
    result<std::optional<holdfast::leader>> leader() const;

    /// Tells who leads: at once, then whenever the leader or its proposal is another, and when there is none
    /// (nothing). Each in the order of the store, but not every one: of several changes in quick succession
    /// only the last may be told. Runs on the calling thread, and returns when the stop_token fires
    /// (success), or when the store could not be asked for options::op_timeout (the error of the last
    /// attempt) or refuses us (unauthorized). Between changes it makes no round trip more often than every
    /// third of the TTL on a store that tells of changes, and four a second on one that does not. What
    /// `told` throws comes out of observe().
    result<void> observe(const std::function<void(const std::optional<holdfast::leader>&)>& told,
                         std::stop_token stop) const;

    /// What it elects a leader of.
    const resource_name& name() const noexcept;

  private:
    result<leadership> campaign_within(std::string_view proposal, std::chrono::nanoseconds duration,
                                       std::stop_token stop);
    std::shared_ptr<core::resource> state_;
};

} // namespace holdfast
