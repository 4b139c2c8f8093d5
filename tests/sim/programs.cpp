// The less common faces: elections, several locks together, turns within a process, work under a lock.
#include "actor.hpp"

namespace holdfast::sim {

using namespace std::chrono_literals;

void actor::one_program() {
    switch (dice_.below(8)) {
    case 0:
        return lock_and_unlock_shared();
    case 1:
        return take_turns();
    case 2:
        return campaign();
    case 3:
        return follow_the_leader();
    case 4:
        return take_all();
    case 5:
        return work_while_held();
    case 6:
        return resize_a_line();
    default:
        return break_a_hold();
    }
}

void actor::lock_and_unlock_shared() {
    auto face = client().shared_mutex("rw");
    const auto call_made = watcher_.begins(call_record::kind::patient, "rw", {});
    kernel_.say("call ", call_made->number, " locks rw, shared");
    try {
        face.lock_shared();
    } catch (const std::system_error& failure) {
        return watcher_.fails(*call_made,
                              {static_cast<errc>(failure.code().value()), failure.what(), 2 * plan_.ttl});
    }
    use_view(keep_view(*call_made, "rw", face.current_shared(), 1), [&] { face.unlock_shared(); });
}

/// A mutex that the actors of a process hand to one another.
void actor::take_turns() {
    auto face = me_.turning[dice_.below(me_.turning.size())];
    for (std::int64_t rounds = dice_.between(1, 4); rounds > 0 && !over(); --rounds) {
        stoppable call(*this, call_record::kind::patient, turns_name);
        const auto kind = dice_.below(4);
        call.made->how = kind == 0   ? call_record::kind::at_once
                         : kind == 1 ? call_record::kind::timed
                                     : call_record::kind::patient;
        call.made->limit = dice_.between(nanoseconds(1ms), plan_.ttl);
        if (kind == 2) {
            call.cancel_in(dice_.between(nanoseconds(0), plan_.ttl));
        }
        kernel_.say("call ", call.made->number, " asks for its turn");
        auto outcome = kind == 0   ? face.try_acquire()
                       : kind == 1 ? face.try_acquire_for(call.made->limit, call.stop->get_token())
                                   : face.acquire(call.stop->get_token());
        if (!outcome) {
            watcher_.fails(*call.made, outcome.error());
            continue;
        }
        use(keep(*call.made, turns_name, std::make_shared<held>(std::move(*outcome))));
    }
}

void actor::campaign() {
    stoppable call(*this, call_record::kind::patient, election_name);
    auto face = client().election(election_name);
    std::string proposal = watcher_.proposes();
    const auto kind = dice_.below(4);
    call.made->how = kind == 0   ? call_record::kind::at_once
                     : kind == 1 ? call_record::kind::timed
                                 : call_record::kind::patient;
    call.made->limit = dice_.between(nanoseconds(1ms), plan_.ttl);
    if (kind == 2) {
        call.cancel_in(dice_.between(nanoseconds(0), plan_.ttl));
    }
    kernel_.say("call ", call.made->number, " campaigns with ", proposal);
    auto outcome = kind == 0   ? face.try_campaign(proposal)
                   : kind == 1 ? face.campaign_for(proposal, call.made->limit, call.stop->get_token())
                               : face.campaign(proposal, call.stop->get_token());
    if (!outcome) {
        return watcher_.fails(*call.made, outcome.error());
    }
    const auto leads = std::make_shared<leadership>(std::move(*outcome));
    const kept mine = keep(*call.made, election_name, leads);
    watcher_.leads(*mine.record, proposal, true);
    for (std::int64_t rounds = dice_.between(0, 3); rounds > 0 && !over(); --rounds) {
        hold_for_a_while(mine);
        const bool valid = watcher_.observe(*mine.record);
        const instant began = kernel_.now();
        const nanoseconds paused = me_.who->paused_for;
        proposal = watcher_.proposes();
        watcher_.leads(*mine.record, proposal, false); // Also when nobody knows whether it was written.
        const auto written = leads->proclaim(proposal);
        watcher_.proclaimed(*mine.record, proposal, valid, written, began, paused);
    }
    let_go(mine);
}

void actor::follow_the_leader() {
    const auto face = client().election(election_name);
    std::stop_source stop;
    const std::stop_callback dying(me_.dying.get_token(), [&] { stop.request_stop(); });
    const nanoseconds how_long = dice_.between(nanoseconds(0), 2 * plan_.ttl);
    kernel_.at(kernel_.time() + how_long, [stop]() mutable { stop.request_stop(); });
    checker::follower seen = watcher_.follows();
    const auto outcome = face.observe(
        [&](const std::optional<leader>& now) { watcher_.told_leader(seen, now); }, stop.get_token());
    watcher_.followed(seen, outcome, stop.stop_requested());
}

void actor::take_all() {
    const locks& on = client();
    stoppable call(*this, call_record::kind::patient, "m1");
    call.made->together = true;
    if (dice_.permille(300)) {
        call.cancel_in(dice_.between(nanoseconds(0), plan_.ttl));
    }
    kernel_.say("call ", call.made->number, " asks for s0, m1 and m0 together");
    auto outcome =
        acquire_all(on.semaphore("s0", permits_), on.mutex("m1"), on.mutex("m0"), call.stop->get_token());
    if (!outcome) {
        return watcher_.fails(*call.made, outcome.error());
    }
    std::vector<kept> all;
    const std::array<const char*, 3> names{"s0", "m1", "m0"};
    for (std::size_t i = 0; i < names.size(); ++i) {
        call_record one = *call.made;
        one.name = names[i];
        one.part = i;
        const bool permit = i == 0;
        all.push_back(keep(one, names[i], std::make_shared<held>(std::move((*outcome)[i])),
                           permit ? 1 : lock_capacity, permit ? permits_ : lock_capacity));
    }
    hold_for_a_while(all.back());
    for (kept& each : all) {
        let_go(std::move(each));
    }
}

void actor::work_while_held() {
    stoppable call(*this, call_record::kind::patient, "m0");
    kernel_.say("call ", call.made->number, " works under m0");
    std::shared_ptr<hold_record> record;
    bool finished = false;
    const auto work = [&](const std::stop_token& stop, const held& mine) {
        record = std::make_shared<hold_record>();
        record->where = me_.who;
        record->name = "m0";
        record->weight = record->capacity = lock_capacity;
        record->exclusive = true;
        record->token = mine.token().value();
        record->valid_for = [&mine] { return mine.valid_for(); };
        record->reason = [&mine] { return mine.reason(); };
        watcher_.granted(*call.made, record);
        hold_for_a_while({.handle = {}, .record = record, .on_lost = {}});
        if (watcher_.observe(*record) && stop.stop_requested() && !call.made->stop_asked) {
            watcher_.violation("work under a valid hold was told to stop, and nobody asked for it");
        }
        watcher_.releasing(record); // Last: the handle ends as soon as this returns.
        finished = true;
        return 7;
    };
    const result<int> outcome = client().run_while_held("m0", work, call.stop->get_token());
    if (!finished) {
        return watcher_.fails(*call.made, outcome.error());
    }
    watcher_.worked(*record, outcome);
}

void actor::resize_a_line() {
    const true_time began = kernel_.time();
    const nanoseconds paused = me_.who->paused_for;
    const std::uint32_t permits = dice_.permille(500) ? 2 : 5;
    const auto outcome = client().resize(mixed_name, permits);
    kernel_.say("resizes ", std::string(mixed_name), " to ", permits);
    if (outcome || outcome.error().code() != errc::misuse) { // There may well be a lock in line.
        watcher_.administered(began, paused, outcome ? errc{} : outcome.error().code());
    }
}

void actor::break_a_hold() {
    const char* const name = dice_.permille(300)   ? turns_name
                             : dice_.permille(300) ? election_name
                                                   : mutex_names[dice_.below(mutex_names.size())];
    const true_time began = kernel_.time();
    const nanoseconds paused = me_.who->paused_for;
    const auto outcome = client().break_holds(name);
    kernel_.say("breaks ", outcome ? *outcome : 0, " holds of ", name);
    watcher_.administered(began, paused, outcome ? errc{} : outcome.error().code());
}

} // namespace holdfast::sim
