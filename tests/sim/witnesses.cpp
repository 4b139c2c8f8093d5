// The checker's view of elections, of work under a lock, of administrators and of sinks.
#include "checker.hpp"

#include <algorithm>

namespace holdfast::sim {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

bool out_of_reach(errc code) {
    return code == errc::unavailable || code == errc::unknown_outcome;
}

} // namespace

// Sinks

std::vector<std::shared_ptr<checker::listener>> checker::listeners(process& where, std::size_t count) {
    std::vector<std::shared_ptr<listener>> all(count);
    for (auto& each : all) {
        each = std::make_shared<listener>();
        each->where = &where;
    }
    return all;
}

void checker::hears(listener& ear, const event& what) {
    const std::string shown = "the sink of " + ear.where->name + " heard of " + what.name + " token " +
                              std::to_string(what.token.value()) + ": " + std::string(to_string(what.what));
    const std::pair key(what.name, what.token.value());
    if (what.missed != 0 || what.waited < 0ns || what.held_for < 0ns) {
        violation(shown + ", with impossible numbers");
    }
    switch (what.what) {
    case event::kind::acquired:
        if (!ear.open.insert(key).second && !plan_.engine_settings.tokens_restart) {
            violation(shown + ", twice");
        }
        break;
    case event::kind::lost:
    case event::kind::released:
        if ((what.what == event::kind::lost) != (what.reason != loss_reason::none)) {
            violation(shown + ", with the wrong reason");
        }
        if (ear.open.erase(key) == 0 && !plan_.engine_settings.tokens_restart) {
            violation(shown + ", but it had not been acquired, or had ended");
        }
        break;
    case event::kind::waiting:
        if (what.token.value() != 0 || what.name.empty()) {
            violation(shown + ", which is nobody's place in line");
        }
        break;
    default:
        if (!what.name.empty()) {
            violation(shown + ", which concerns no name");
        }
    }
}

void checker::all_told(const listener& ear) {
    for (const auto& [name, token] : ear.open) {
        violation("the sink of " + ear.where->name + " never heard of the end of " + name + " token " +
                  std::to_string(token));
    }
}

// Elections

std::string checker::proposes() {
    return "p" + std::to_string(++proposals_);
}

void checker::leads(const hold_record& hold, const std::string& proposal, bool campaign) {
    leaders_[proposal] = {campaign ? 0 : hold.token, hold.token};
}

void checker::proclaimed(hold_record& hold, const std::string& proposal, bool valid,
                         const result<void>& outcome, instant began, nanoseconds paused_before) {
    process& me = kernel_.mine();
    if (ghost(me)) {
        return;
    }
    const std::string what = shown(hold) + " proclaims " + proposal;
    const nanoseconds took = kernel_.now() - began;
    const bool paused = me.paused_for != paused_before;
    kernel_.say(what, outcome ? "" : ": " + outcome.error().message());
    if (!paused && took > plan_.op_timeout + slack) {
        violation(what + ", and that took too long");
    }
    if (outcome) {
        const auto* line = engine_.line(hold.name);
        if (!valid) {
            violation(what + " with success, although it was lost");
        } else if (line != nullptr && !excused(hold)) {
            for (const auto& each : *line) {
                if (each.token == hold.token && each.proposal != proposal) {
                    violation(what + " with success, but " + each.proposal + " stands there");
                }
            }
        }
    } else if (outcome.error().code() == errc::lost) {
        if (observe(hold)) {
            violation(what + " and hears that it is lost, but goes on counting as valid");
        }
    } else if (!out_of_reach(outcome.error().code())) {
        violation(what + ": that is no outcome: " + outcome.error().message());
    } else if (!paused && !troubled(kernel_.time() - took)) {
        violation(what + " in vain, without any fault");
    }
}

checker::follower checker::follows() {
    return {.began = kernel_.time(),
            .paused_before = kernel_.mine().paused_for,
            .epoch = engine_.epoch(),
            .last = {}};
}

void checker::told_leader(follower& who, const std::optional<leader>& now) {
    if (ghost(kernel_.mine())) {
        return;
    }
    const std::string what = now ? "an observer was told of leader " + std::to_string(now->token.value()) +
                                       " with " + now->proposal
                                 : std::string("an observer was told that nobody leads");
    kernel_.say(what);
    if (who.any && who.last == now) {
        violation(what + " twice in a row");
    }
    if (now) {
        const bool same_epoch = who.epoch == engine_.epoch();
        if (now->proposal.empty()) {
            violation(what + ", and its proposal was kept from it");
        }
        const auto known = leaders_.find(now->proposal);
        if (known != leaders_.end() && !plan_.engine_settings.tokens_restart &&
            (now->token.value() < known->second.first || now->token.value() > known->second.second)) {
            violation(what + ", which is that of leader " + std::to_string(known->second.second));
        }
        if (who.last && same_epoch && now->token < who.last->token) {
            violation(what + " after a later one");
        }
    }
    who.any = true;
    who.epoch = engine_.epoch();
    who.last = now;
}

void checker::followed(const follower& who, const result<void>& outcome, bool stopped) {
    const process& me = kernel_.mine();
    if (ghost(me)) {
        return;
    }
    if (outcome) {
        if (!stopped) {
            violation("observing a leader ended, and nobody asked for it");
        }
    } else if (!out_of_reach(outcome.error().code()) ||
               (!troubled(who.began) && me.paused_for == who.paused_before)) {
        violation("observing a leader ended with " + outcome.error().message());
    }
}

// Work under a lock, and administrators

void checker::worked(const hold_record& hold, const result<int>& outcome) {
    if (ghost(kernel_.mine())) {
        return;
    }
    if (outcome ? !hold.was_valid : outcome.error().code() != errc::lost) {
        violation("work under " + shown(hold) +
                  (outcome ? " counts, although it was lost" : " failed: " + outcome.error().message()));
    }
}

void checker::administered(true_time began, nanoseconds paused_before, errc code) {
    const process& me = kernel_.mine();
    if (ghost(me) || code == errc{}) {
        return;
    }
    if (!out_of_reach(code) || (!troubled(began) && me.paused_for == paused_before)) {
        violation("breaking holds failed without any fault");
    }
}

} // namespace holdfast::sim
