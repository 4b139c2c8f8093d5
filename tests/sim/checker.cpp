#include "checker.hpp"

#include <algorithm>

#include "core/hold.hpp"
#include "core/turns.hpp"

#include "world.hpp"

namespace holdfast::sim {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

constexpr std::size_t most_violations = 20;

std::string in_ms(nanoseconds value) {
    return std::to_string(value.count() / 1'000'000) + " ms";
}

} // namespace

std::uint64_t hold_record::at_engine() const noexcept {
    return lent ? token / core::turns::room : token;
}

checker::checker(kernel& in, engine& behind, const plan& of, tally& count)
    : kernel_(in), engine_(behind), plan_(of), tally_(count) {
    engine_.violation = [this](const std::string& what) { violation(what); };
    engine_.excused = [this](std::uint64_t token, bool ended) {
        excused_[{engine_.epoch(), token}] = ended ? kernel_.time() + plan_.granted_ttl() : never;
    };
}

void checker::violation(const std::string& what) {
    ++tally_.violations;
    kernel_.say("VIOLATION ", what);
    if (violations_.size() < most_violations) {
        violations_.push_back(what);
    }
}

std::string checker::shown(const hold_record& hold) const {
    return hold.name + " token " + std::to_string(hold.token) + " of " + hold.where->name;
}

bool checker::troubled(true_time since) const noexcept {
    return trouble_ >= since;
}

std::size_t checker::live_holds_of(const process& whom) const {
    return static_cast<std::size_t>(std::count_if(
        live_.begin(), live_.end(), [&](const auto& each) { return each->where == &whom && !each->over(); }));
}

std::size_t checker::calls_of(const process& whom) const {
    const auto found = waiting_.find(&whom);
    return found == waiting_.end() ? 0 : found->second;
}

// Acquiring

std::shared_ptr<call_record> checker::begins(call_record::kind how, const std::string& name,
                                             nanoseconds limit) {
    auto call = std::make_shared<call_record>();
    call->number = ++calls_;
    call->how = how;
    call->name = name;
    call->limit = limit;
    call->began = kernel_.time();
    call->began_local = kernel_.now();
    call->paused_before = kernel_.mine().paused_for;
    call->epoch = engine_.epoch();
    call->highest_before = highest_ended_[{name, engine_.epoch()}];
    kernel_.tag() = call->number;
    ++waiting_[&kernel_.mine()];
    ++tally_.operations;
    return call;
}

void checker::fails(const call_record& call, const error& why) {
    process& me = kernel_.mine();
    --waiting_[&me];
    kernel_.tag() = 0;
    const nanoseconds took = kernel_.now() - call.began_local;
    const nanoseconds paused = me.paused_for - call.paused_before;
    const bool trouble = troubled(call.began) || paused > 0ns;
    const std::string what = "acquiring " + call.name + " of " + me.name + " ended with " +
                             std::to_string(static_cast<int>(why.code())) + " (" + why.message() +
                             ") after " + in_ms(took);
    kernel_.say(what);
    if (ghost(me)) {
        return;
    }
    const auto illegal = [&](const char* because) { violation(what + ": " + because); };
    bool clean = false;
    switch (why.code()) {
    case errc::busy:
        clean = true;
        if (call.how != call_record::kind::at_once) {
            illegal("nobody asked for an answer at once");
        }
        break;
    case errc::timed_out:
        clean = true;
        if (call.how != call_record::kind::timed || took < call.limit) {
            illegal("there was time left");
        }
        break;
    case errc::cancelled:
        clean = true;
        if (!call.stop_asked) {
            illegal("nobody cancelled it");
        }
        break;
    case errc::misuse:
        if (call.name != mixed_name && (!plan_.engine_settings.tokens_restart || engine_.epoch() == 0)) {
            illegal("nothing was misused");
        }
        break;
    case errc::lost:
    case errc::unavailable:
    case errc::unknown_outcome:
        if (call.together && why.code() == errc::lost && !excused_.empty()) {
            break; // A hold was broken while the next was waited for.
        }
        if (!trouble && (call.how != call_record::kind::timed || call.limit > 100ms)) {
            illegal("nothing was wrong with the store");
        }
        break;
    default:
        illegal("that is no outcome of an acquire");
    }
    // An engine that notices late, or a renewal that arrived late, may keep a little longer what had been
    // lost.
    const nanoseconds grace = engine_.how().expiry_lag + (plan_.sky.late > 0 ? plan_.sky.latest : 0ns);
    if (clean) {
        kernel_.at(kernel_.time() + grace, [this, number = call.number, what] {
            if (engine_.claims_of(number) != 0) {
                violation(what + ": it still stands in line");
            }
        });
    }
    if (why.code() == errc::unknown_outcome) {
        const auto ends_in = why.ends_in();
        if (!ends_in) {
            illegal("it does not say when it ends");
        } else {
            check_end(me.when(kernel_.now() + *ends_in) + grace + slack, kernel_.time(), call.number, what);
        }
    }
    if (paused == 0ns) {
        nanoseconds most = never;
        if (call.how == call_record::kind::timed) {
            most = call.limit + plan_.release_timeout + plan_.ending_a_session();
        } else if (call.how == call_record::kind::at_once) {
            most = 2 * plan_.op_timeout + plan_.release_timeout + plan_.ending_a_session();
        }
        if (most != never && call.name == turns_name) {
            most +=
                plan_.release_timeout; // It may have to give back first what its process has had for long.
        }
        if (most != never && took > most + slack) {
            illegal(("that was too late by " + in_ms(took - most)).c_str());
        }
    }
}

void checker::check_end(true_time by, true_time returned, std::uint64_t call, const std::string& what) {
    kernel_.at(by, [this, by, returned, call, what] {
        if (engine_.claims_of(call) == 0) {
            return;
        }
        // A claim on its session's lease stands as long as the session is renewed, until its removal gets
        // through.
        const true_time healed = plan_.heals + plan_.recovery();
        if (engine_.renewed_since(call, returned) && by < healed) {
            check_end(healed, returned, call, what);
        } else {
            violation(what + ": it still stands in line after the time that it named");
        }
    });
}

void checker::granted(const call_record& call, const std::shared_ptr<hold_record>& hold) {
    process& me = kernel_.mine();
    if (call.part == 0) {
        --waiting_[&me];
    }
    kernel_.tag() = 0;
    ++tally_.granted;
    // It may have been granted before the engine lost its memory, and have heard of it only now.
    hold->epoch = engine_.epoch();
    while (hold->epoch > 0 && !engine_.holds(hold->name, hold->at_engine()) && !excused(*hold)) {
        --hold->epoch;
    }
    kernel_.say("holds ", shown(*hold));
    if (ghost(me)) {
        return;
    }
    if (kernel_.time() > plan_.heals) {
        const nanoseconds recovered = kernel_.time() - std::max(plan_.heals, call.began);
        tally_.longest_recovery_ms =
            std::max(tally_.longest_recovery_ms, static_cast<std::uint64_t>(recovered.count() / 1'000'000));
        if (recovered > (call.together ? 3 : 1) * plan_.recovery()) { // One name after the other.
            violation(shown(*hold) + " was granted only " + in_ms(recovered) + " after all was well");
        }
    }
    std::erase_if(live_, [](const auto& each) { return each->over(); });
    if (!observe(*hold) && me.paused_for == call.paused_before && !excused(*hold)) {
        violation(shown(*hold) + " had run out when it was handed over");
    }
    if (engine_.holds(hold->name, hold->at_engine())) {
        if (!tokens_.insert({hold->epoch, hold->token}).second) {
            violation(shown(*hold) + " was granted before");
        }
        const std::uint64_t before = hold->exclusive ? highest_ended_[{hold->name, hold->epoch}]
                                     : call.together ? 0
                                                     : call.highest_before;
        if (call.epoch == hold->epoch && engine_.epoch() == hold->epoch && hold->token <= before) {
            violation(shown(*hold) + " came after token " + std::to_string(before));
        }
    }
    check_overlap(*hold);
    live_.push_back(hold);
    audit();
}

/// Two holds overlap only if one of them begins while the other is valid.
void checker::check_overlap(const hold_record& fresh) {
    if (excused(fresh) || fresh.lost != loss_reason::none) {
        return;
    }
    std::uint64_t weight = fresh.weight;
    std::string others;
    for (const auto& each : live_) {
        if (each->name == fresh.name && each->where->crashed == false && !excused(*each) && observe(*each)) {
            weight += each->weight;
            others += ", " + shown(*each);
        }
    }
    const auto* line = engine_.line(fresh.name);
    std::uint32_t capacity = fresh.capacity;
    if (fresh.name == mixed_name && line != nullptr && !line->empty()) {
        capacity = std::max(capacity, line->front().capacity); // It may have been resized meanwhile.
    }
    if (weight > capacity) {
        violation(shown(fresh) + " is more than fits beside" + others);
    }
    if (line != nullptr && !line->empty() && line->front().foreign) {
        violation(shown(fresh) + " began while a foreign client held it");
    }
}

// Holding

bool checker::observe(hold_record& hold) {
    if (hold.over()) {
        return false;
    }
    return kernel_.as(*hold.where, [&] {
        const bool valid = hold.valid_for() > 0ns;
        const loss_reason why = hold.reason();
        if (valid != (why == loss_reason::none)) {
            violation(shown(hold) + " is lost and has no reason, or has one and is valid");
        }
        if (hold.lost != loss_reason::none && hold.lost != why) {
            violation(shown(hold) + " was lost, and its reason changed or it came back to life");
        }
        if (!valid && hold.lost == loss_reason::none) {
            hold.lost = why;
            ++tally_.losses;
            kernel_.say("lost: ", shown(hold), ", ", std::string(to_string(why)));
            if (hold.exclusive) {
                auto& highest = highest_ended_[{hold.name, hold.epoch}];
                highest = std::max(highest, hold.token);
            }
        }
        if (valid && hold.told != 0) {
            violation(shown(hold) + " is valid after its loss was told");
        }
        if (valid && !ghost(*hold.where)) {
            const auto excuse = excused_.find({hold.epoch, hold.at_engine()});
            if (excuse == excused_.end() ? !engine_.holds(hold.name, hold.at_engine())
                                         : kernel_.time() > excuse->second) {
                violation(shown(hold) + " counts as valid, but the engine has given it up");
            }
        }
        return valid;
    });
}

void checker::told(hold_record& hold) {
    kernel_.say("told of the loss of ", shown(hold));
    if (++hold.told > 1) {
        violation(shown(hold) + " was told of its loss twice");
    }
    if (!ghost(*hold.where) &&
        (hold.over() ? hold.was_valid && hold.lost == loss_reason::none && !hold.leaves_later
                     : observe(hold))) {
        violation(shown(hold) + " was told of a loss that is none");
    }
}

void checker::releasing(const std::shared_ptr<hold_record>& hold) {
    const bool valid = observe(*hold);
    hold->was_valid = valid;
    hold->valid_for = nullptr;
    hold->reason = nullptr;
    if (hold->exclusive) {
        auto& highest = highest_ended_[{hold->name, hold->epoch}];
        highest = std::max(highest, hold->token);
    }
    kernel_.say("releases ", shown(*hold));
}

void checker::released(const hold_record& hold, instant began, nanoseconds paused_before,
                       const std::optional<result<void>>& outcome) {
    process& me = kernel_.mine();
    if (ghost(me)) {
        return;
    }
    const nanoseconds took = kernel_.now() - began;
    if (me.paused_for == paused_before && took > plan_.release_timeout + plan_.ending_a_session() + slack) {
        violation("the release of " + shown(hold) + " took " + in_ms(took));
    }
    if (!outcome) {
        return;
    }
    if (*outcome) {
        if (!hold.was_valid) {
            violation("the release of " + shown(hold) + " succeeded although it was lost");
        }
        if (hold.name != turns_name && !excused(hold) && engine_.holds(hold.name, hold.at_engine())) {
            violation("the release of " + shown(hold) + " succeeded, but it still stands");
        }
        return;
    }
    switch (outcome->error().code()) {
    case errc::lost:
        if (hold.was_valid && !hold.leaves_later && me.paused_for == paused_before) {
            violation("the release of " + shown(hold) + " reports a loss that was none");
        }
        break;
    case errc::unavailable:
    case errc::unknown_outcome:
        if (!troubled(kernel_.time() - took - plan_.recovery())) {
            violation("the release of " + shown(hold) + " was not confirmed, without any fault");
        }
        break;
    default:
        violation("the release of " + shown(hold) + " ended with " + outcome->error().message());
    }
}

void checker::settled(const hold_record& hold) {
    if (ghost(*hold.where) || !hold.subscribed) {
        return;
    }
    if (hold.lost != loss_reason::none && hold.told != 1) {
        violation("the loss of " + shown(hold) + " was told " + std::to_string(hold.told) + " times");
    }
}

void checker::write(hold_record& hold) {
    if (plan_.engine_settings.tokens_restart || ghost(*hold.where)) {
        return; // Fencing ends where tokens begin anew.
    }
    std::uint64_t& fence = fences_[hold.name];
    ++tally_.writes;
    if (hold.token >= fence) {
        fence = hold.token;
        return;
    }
    ++tally_.refused_writes;
    if (!excused(hold) && observe(hold)) {
        violation("a write of " + shown(hold) + " was refused while it holds: token " +
                  std::to_string(fence) + " wrote before");
    }
}

// What the alarm must have seen

void checker::appended(const std::shared_ptr<claim_events>& entry) {
    auto claim = std::dynamic_pointer_cast<core::hold>(entry);
    const bool known = std::any_of(claims_.begin(), claims_.end(),
                                   [&](const auto& each) { return each.second.lock() == claim; });
    if (claim && !known) {
        claims_.emplace_back(&kernel_.mine(), claim);
    }
}

void checker::audit() {
    std::erase_if(claims_, [](const auto& each) { return each.second.expired(); });
    for (const auto& [where, weak] : claims_) {
        const auto claim = weak.lock();
        if (where->paused || ghost(*where)) {
            continue;
        }
        const auto phase = claim->now_in();
        const instant deadline = claim->deadline();
        if ((phase == core::hold::phase::held || phase == core::hold::phase::waiting) &&
            deadline != instant() && where->local(kernel_.time()) > deadline + slack &&
            where->paused_for == 0ns) {
            violation("the lease of a claim to " + claim->claim().name.bytes() + " of " + where->name +
                      " has run out, and nobody noticed");
        }
    }
}

void checker::nothing_left() {
    for (const std::string& name : engine_.leftovers()) {
        violation("claims of ours are left in " + name);
    }
    if (engine_.sessions() != 0) {
        violation(std::to_string(engine_.sessions()) + " sessions are left in the engine");
    }
}

} // namespace holdfast::sim
