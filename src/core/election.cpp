#include <holdfast/election.hpp>

#include <algorithm>

#include "face.hpp"
#include "inside.hpp"
#include "session.hpp"

namespace holdfast {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

namespace {

constexpr nanoseconds look_again = milliseconds(250);
constexpr nanoseconds first_pause = milliseconds(5);
constexpr nanoseconds longest_pause = milliseconds(500);

result<void> check_length(std::string_view proposal) {
    if (proposal.size() > max_proposal) {
        return error(errc::misuse, "a proposal has at most " + std::to_string(max_proposal) + " bytes, not " +
                                       std::to_string(proposal.size()));
    }
    return {};
}

result<leadership> run(core::resource& in, std::string_view proposal, core::patience how) {
    if (const auto fits = check_length(proposal); !fits) {
        return fits.error();
    }
    how.proposal = std::string(proposal);
    auto won = core::acquire(in, lock_capacity, how);
    if (!won) {
        return won.error();
    }
    return leadership(std::move(*won));
}

/// The leader in this line. Readers lead nothing, and who is past its lease leads no more.
std::optional<leader> leader_in(resource_status line) {
    for (claim_status& each : line.claims) {
        if (each.holds && !each.stale && (each.foreign || each.weight >= line.capacity)) {
            if (!each.proposal && !each.foreign) {
                return std::nullopt; // It holds, and what it proposes is on its way.
            }
            return leader{.proposal = std::move(each.proposal).value_or(std::string()),
                          .token = token(each.token),
                          .who = std::move(each.who)};
        }
    }
    return std::nullopt;
}

} // namespace

result<void> leadership::proclaim(std::string_view proposal) {
    if (const auto fits = check_length(proposal); !fits) {
        return fits.error();
    }
    const auto& claim = core::inside::of(*this);
    if (!claim) {
        return error(errc::misuse, "this leadership has ended: there is nothing to proclaim with");
    }
    if (claim->valid_for() <= nanoseconds::zero()) {
        return error(errc::lost, "the leadership of '" + claim->claim().name.bytes() +
                                     "' was lost: " + std::string(to_string(claim->reason())));
    }
    core::session& on = *claim->owner();
    auto outcome = on.engine().proclaim(*claim, proposal, on.now() + on.terms().op_timeout);
    if (!outcome && outcome.error().code() == errc::lost) {
        claim->lose(loss_reason::revoked); // The store has proved it; other proofs came first or not at all.
    }
    return outcome;
}

result<leadership> election::campaign(std::string_view proposal, std::stop_token stop) {
    return run(*state_, proposal, core::patience_of(std::move(stop)));
}

result<leadership> election::try_campaign(std::string_view proposal) {
    return run(*state_, proposal, core::no_patience());
}

result<leadership> election::campaign_within(std::string_view proposal, nanoseconds duration,
                                             std::stop_token stop) {
    auto outcome = run(*state_, proposal, core::patience_of(duration, std::move(stop)));
    if (!outcome && outcome.error().code() == errc::busy) {
        return error(errc::timed_out, outcome.error().message());
    }
    return outcome;
}

result<std::optional<leader>> election::leader() const {
    core::client& in = state_->client();
    if (in.forked()) {
        return core::client::inherited();
    }
    auto line = in.engine().show(state_->name(), in.now() + in.terms().op_timeout);
    if (!line) {
        return line.error();
    }
    return leader_in(std::move(*line));
}

result<void> election::observe(const std::function<void(const std::optional<holdfast::leader>&)>& told,
                               std::stop_token stop) const {
    core::client& in = state_->client();
    const core::session_terms& terms = in.terms();
    // Shared: a store may be about to call when it is told to stop.
    const auto place = std::make_shared<parking_place>();
    const std::stop_callback wake(stop, [&place] { place->notify(); });
    std::shared_ptr<void> watching;
    std::optional<std::optional<holdfast::leader>> last;
    instant give_up = instant::max(); // Counted from the first failure after a success.
    nanoseconds pause = first_pause;
    while (!stop.stop_requested()) {
        place->reset();
        if (!watching && !in.forked()) {
            watching = in.engine().watch(state_->name(), [place] { place->notify(); });
        }
        const instant asked_at = in.now();
        auto seen = leader();
        instant again = in.now();
        if (seen) {
            give_up = instant::max();
            pause = first_pause;
            again += watching ? core::renewal_interval(terms.ttl) : look_again;
            if (!last || *last != *seen) {
                last = std::move(*seen);
                told(*last);
            }
        } else {
            const errc code = seen.error().code();
            give_up = std::min(give_up, asked_at + terms.op_timeout);
            if ((code != errc::unavailable && code != errc::unknown_outcome) || again >= give_up) {
                return seen.error();
            }
            again += pause;
            pause = std::min(2 * pause, longest_pause);
        }
        if (!stop.stop_requested()) {
            place->wait_until(again, terms.traits.clock);
        }
    }
    return {};
}

const resource_name& election::name() const noexcept {
    return state_->name();
}

} // namespace holdfast
