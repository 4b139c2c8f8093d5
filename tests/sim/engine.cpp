#include "engine.hpp"

#include <algorithm>

#include "core/line.hpp"

namespace holdfast::sim {

using std::chrono::nanoseconds;
using kind = engine::answer::kind;

namespace {

core::place place_of(const engine::standing& each) {
    return {.weight = each.weight, .capacity = each.capacity, .foreign = each.foreign};
}

/// Enough of it to tell it from others.
std::string shown(const claim_id& id) {
    return id.session == session_key{} ? "of a foreign client" : to_string(id).substr(26);
}

bool is_foreign(const engine::standing& each) {
    return each.foreign;
}

} // namespace

void engine::open(const session_key& who, nanoseconds ttl) {
    if (how_.lease_per_claim || sessions_.contains(who) || closed_.contains(who)) {
        return;
    }
    sessions_[who] = {.ttl = granted_ttl(ttl), .ends = kernel_.time() + granted_ttl(ttl)};
    watch_session(who, sessions_[who].ends);
}

bool engine::renew(const session_key& who) {
    if (how_.lease_per_claim) {
        return true;
    }
    const auto found = sessions_.find(who);
    if (found == sessions_.end()) {
        return false;
    }
    found->second.renewed = kernel_.time();
    found->second.ends = kernel_.time() + found->second.ttl;
    watch_session(who, found->second.ends);
    return true;
}

void engine::close(const session_key& who) {
    drop(who, loss_reason::revoked);
}

void engine::watch_session(const session_key& who, true_time ends) {
    kernel_.at(ends + how_.expiry_lag, [this, who, ends] {
        const auto found = sessions_.find(who);
        if (found != sessions_.end() && found->second.ends == ends) {
            kernel_.say("engine: session ", shown({.session = who, .number = 0}), " expires");
            expired(who);
            drop(who, loss_reason::expired);
        }
    });
}

void engine::watch_claim(const std::string& name, const claim_id& id, true_time ends) {
    kernel_.at(ends + how_.expiry_lag, [this, name, id, ends] {
        const auto found = lines_.find(name);
        if (found == lines_.end()) {
            return;
        }
        line_of& line = found->second;
        const auto each =
            std::find_if(line.begin(), line.end(), [&](const standing& one) { return one.id == id; });
        if (each != line.end() && each->ends == ends) {
            const notice what{.id = id, .sequence = each->sequence, .gone = loss_reason::expired};
            line.erase(each);
            kernel_.say("engine: claim ", shown(id), " to ", name, " expires");
            expired(id.session);
            tell(id.session, what);
            settle(name, line);
        }
    });
}

void engine::drop(const session_key& who, loss_reason why) {
    sessions_.erase(who);
    closed_.insert(who); // A repeated or late request does not open it again.
    for (auto next = lines_.begin(); next != lines_.end();) {
        const auto here = next++; // settle() may erase it.
        line_of& line = here->second;
        bool changed = false;
        for (auto each = line.begin(); each != line.end();) {
            if (!each->foreign && each->id.session == who) {
                tell(who, {.id = each->id, .sequence = each->sequence, .gone = why});
                each = line.erase(each);
                changed = true;
            } else {
                ++each;
            }
        }
        if (changed) {
            settle(std::string(here->first), line);
        }
    }
}

/// Grants what holds now, and forgets an empty line.
void engine::settle(const std::string& name, line_of& line, const claim_id* answered) {
    std::vector<core::place> places;
    places.reserve(line.size());
    for (const standing& each : line) {
        places.push_back(place_of(each));
    }
    const std::size_t granted = core::granted_prefix(places);
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (i > 0 && line[i - 1].arrival >= line[i].arrival) {
            violation("the line of " + name + " is not in the order of arrival");
        }
        if (i < granted && line[i].token == 0) {
            line[i].token = ++last_token_;
            kernel_.say("engine: grants ", name, " to ", shown(line[i].id), ", token ", last_token_);
            if (!line[i].foreign && (answered == nullptr || line[i].id != *answered)) {
                tell(line[i].id.session,
                     {.id = line[i].id, .sequence = line[i].sequence, .token = line[i].token});
            }
        }
    }
    if (line.empty()) {
        lines_.erase(name);
    }
}

engine::answer engine::append(const claim& what, std::uint64_t sequence, bool only_if_free, nanoseconds ttl,
                              std::uint64_t call, bool late) {
    const std::string& name = what.name.bytes();
    if (how_.lease_per_claim ? closed_.contains(what.id.session) : !sessions_.contains(what.id.session)) {
        return {.what = kind::lost};
    }
    kernel_.say("engine: append ", name, " claim ", shown(what.id), " request ", sequence, ", call ", call);
    std::uint64_t& seen = sequences_[what.id];
    if (sequence <= seen) {
        return {.what = kind::stale}; // A repetition, or overtaken by what came after it.
    }
    seen = sequence;
    line_of& line = lines_[name];
    auto mine =
        std::find_if(line.begin(), line.end(), [&](const standing& one) { return one.id == what.id; });
    if (mine == line.end()) {
        const standing fresh{.id = what.id,
                             .sequence = sequence,
                             .weight = what.weight,
                             .capacity = what.capacity,
                             .arrival = ++arrivals_,
                             .call = call,
                             .proposal = what.proposal.value_or(std::string()),
                             .late = late};
        if (!line.empty() && !core::may_join(place_of(line.front()), place_of(fresh))) {
            return {.what = kind::misuse};
        }
        line.push_back(fresh);
        if (only_if_free) {
            std::vector<core::place> places;
            for (const standing& each : line) {
                places.push_back(place_of(each));
            }
            if (core::granted_prefix(places) < line.size()) {
                line.pop_back();
                return {.what = kind::busy};
            }
        }
        settle(name, line, &what.id);
        mine = line.end() - 1;
    }
    mine->sequence = sequence;
    if (how_.lease_per_claim) {
        mine->ends = kernel_.time() + granted_ttl(ttl);
        watch_claim(name, what.id, mine->ends);
    }
    return {.what = mine->token != 0 ? kind::granted : kind::waiting, .token = mine->token};
}

void engine::remove(const claim& what, std::uint64_t sequence) {
    kernel_.say("engine: remove ", what.name.bytes(), " claim ", shown(what.id), " request ", sequence);
    std::uint64_t& seen = sequences_[what.id];
    if (sequence < seen) {
        return;
    }
    seen = sequence;
    const auto found = lines_.find(what.name.bytes());
    if (found != lines_.end() &&
        std::erase_if(found->second, [&](const standing& one) { return one.id == what.id; }) != 0) {
        settle(what.name.bytes(), found->second);
    }
}

bool engine::remove_alone(const claim& what) {
    const auto found = lines_.find(what.name.bytes());
    if (found == lines_.end() || found->second.size() != 1 || found->second.front().id != what.id) {
        return false;
    }
    kernel_.say("engine: release ", what.name.bytes(), " claim ", shown(what.id));
    lines_.erase(found);
    return true;
}

bool engine::resize(const std::string& name, std::uint32_t permits) {
    const auto found = lines_.find(name);
    if (found == lines_.end()) {
        return true;
    }
    for (const standing& each : found->second) {
        if (each.foreign || each.capacity == lock_capacity || each.weight > permits) {
            return false;
        }
    }
    for (standing& each : found->second) {
        each.capacity = permits;
    }
    settle(name, found->second);
    return true;
}

bool engine::renew_claim(const claim& what, std::uint64_t sequence, nanoseconds ttl) {
    const auto found = lines_.find(what.name.bytes());
    if (found == lines_.end()) {
        return false;
    }
    for (standing& each : found->second) {
        if (each.id == what.id && each.sequence == sequence) {
            each.ends = kernel_.time() + granted_ttl(ttl);
            watch_claim(what.name.bytes(), each.id, each.ends);
            return true;
        }
    }
    return false;
}

engine::answer engine::look(const claim& what, std::uint64_t sequence) const {
    if (const auto* there = line(what.name.bytes())) {
        for (const standing& each : *there) {
            if (each.id == what.id && each.sequence == sequence) {
                return {.what = each.token != 0 ? kind::granted : kind::waiting, .token = each.token};
            }
        }
    }
    return {.what = kind::lost};
}

void engine::forget_everything() {
    for (const auto& [name, line] : lines_) {
        excuse(line, nullptr, true);
    }
    ++epoch_;
    sessions_.clear();
    lines_.clear();
    sequences_.clear();
    closed_.clear();
    if (how_.tokens_restart) {
        last_token_ = 1000;
    }
}

bool engine::revoke(std::size_t which) {
    if (sessions_.empty()) {
        return false;
    }
    auto chosen = sessions_.begin();
    std::advance(chosen, static_cast<std::ptrdiff_t>(which % sessions_.size()));
    const session_key who = chosen->first;
    for (const auto& [name, line] : lines_) {
        excuse(line, &who, true);
    }
    drop(who, loss_reason::revoked);
    return true;
}

void engine::excuse(const line_of& line, const session_key* of, bool ended) const {
    for (const standing& each : line) {
        if (each.token != 0 && !each.foreign && (of == nullptr || each.id.session == *of)) {
            excused(each.token, ended);
        }
    }
}

std::size_t engine::break_holds(const std::string& name, std::optional<token> only) {
    const auto found = lines_.find(name);
    if (found == lines_.end()) {
        return 0;
    }
    std::vector<notice> told;
    std::erase_if(found->second, [&](const standing& each) {
        if (each.token == 0 || (only && only->value() != each.token)) {
            return false;
        }
        if (!each.foreign) {
            excused(each.token, how_.lease_per_claim);
        }
        told.push_back({.id = each.id, .sequence = each.sequence, .gone = loss_reason::broken});
        return true;
    });
    for (const notice& each : told) {
        tell(each.id.session, each);
    }
    settle(name, found->second);
    return told.size();
}

bool engine::proclaim(const claim& what, std::uint64_t sequence, const std::string& proposal) {
    const auto found = lines_.find(what.name.bytes());
    if (found == lines_.end()) {
        return false;
    }
    for (standing& each : found->second) {
        if (each.id == what.id && each.token != 0) {
            if (sequence > each.proclaimed) {
                each.proclaimed = sequence;
                each.proposal = proposal;
            }
            return true;
        }
    }
    return false;
}

resource_status engine::show(const std::string& name) const {
    resource_status all{.name = name, .claims = {}};
    if (const auto* there = line(name)) {
        for (const standing& each : *there) {
            all.capacity = each.foreign ? all.capacity : each.capacity;
            all.claims.push_back({.id = {},
                                  .holds = each.token != 0,
                                  .weight = each.weight,
                                  .token = each.token,
                                  .foreign = each.foreign,
                                  .who = {},
                                  .since = {},
                                  .ttl_left = {},
                                  .proposal = each.proposal});
        }
    }
    return all;
}

bool engine::renewed_since(std::uint64_t call, true_time when) const {
    for (const auto& [name, line] : lines_) {
        for (const standing& each : line) {
            const auto on = sessions_.find(each.id.session);
            if (each.call == call && on != sessions_.end() && on->second.renewed > when) {
                return true;
            }
        }
    }
    return false;
}

void engine::foreign_takes(const std::string& name, true_time until) {
    line_of& line = lines_[name];
    const std::uint64_t arrival = ++arrivals_;
    line.push_back({.id = {.session = {}, .number = arrival},
                    .weight = 1,
                    .capacity = 1,
                    .foreign = true,
                    .arrival = arrival});
    settle(name, line);
    kernel_.at(until, [this, name, arrival] {
        const auto found = lines_.find(name);
        if (found != lines_.end() &&
            std::erase_if(found->second, [&](const standing& one) { return one.arrival == arrival; }) != 0) {
            settle(name, found->second);
        }
    });
}

const std::vector<engine::standing>* engine::line(const std::string& name) const {
    const auto found = lines_.find(name);
    return found == lines_.end() ? nullptr : &found->second;
}

std::vector<std::string> engine::leftovers() const {
    std::vector<std::string> names;
    for (const auto& [name, line] : lines_) {
        if (!std::all_of(line.begin(), line.end(), is_foreign)) {
            names.push_back(name);
        }
    }
    return names;
}

std::size_t engine::claims_of(std::uint64_t call) const {
    std::size_t count = 0;
    for (const auto& [name, line] : lines_) {
        for (const standing& each : line) {
            count += each.call == call && !each.late ? 1U : 0U;
        }
    }
    return count;
}

bool engine::holds(const std::string& name, std::uint64_t token) const {
    const auto* there = line(name);
    return there != nullptr && std::any_of(there->begin(), there->end(),
                                           [&](const standing& each) { return each.token == token; });
}

} // namespace holdfast::sim
