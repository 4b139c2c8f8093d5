#include "session.hpp"

namespace holdfast::sim {

using std::chrono::nanoseconds;
using answer = engine::answer;

void sim_session::begin() {
    to_.listeners[id_] = [weak = weak_from_this()](const notice& what) {
        if (const auto self = weak.lock()) {
            self->link_->reply([weak, what] {
                if (const auto still = weak.lock()) {
                    still->told(what);
                }
            });
        }
    };
}

sim_session::entry_record* sim_session::find(std::uint64_t number, std::uint64_t sequence) {
    const auto found = entries_.find(number);
    return found == entries_.end() || found->second.sequence != sequence ? nullptr : &found->second;
}

std::shared_ptr<claim_events> sim_session::forget(std::uint64_t number) {
    const auto found = entries_.find(number);
    auto events = std::move(found->second.events);
    entries_.erase(found);
    return events;
}

void sim_session::append(std::shared_ptr<claim_events> entry, bool only_if_free) {
    if (closed_) {
        entry->on_refused({errc::lost, "the simulated session is closed"});
        return;
    }
    to_.on.yield();
    to_.appended(entry);
    const claim& what = entry->claim();
    const std::uint64_t number = what.id.number;
    const std::uint64_t sequence = ++sequence_;
    entries_[number] = {.events = entry, .sequence = sequence, .now = state::appending};
    const auto at_engine = [&to = to_, what, sequence, only_if_free, ttl = asked_ttl_, call = to_.on.tag(),
                            sent = to_.on.time()] {
        const bool late = to.on.time() - sent > to.op_timeout * 98 / 100;
        return to.behind.append(what, sequence, only_if_free, ttl, call, late);
    };
    if (link_->up() && to_.chance.permille(to_.at_once)) {
        answered(number, sequence, at_engine());
        return to_.on.yield();
    }
    const auto weak = weak_from_this();
    const bool sent = link_->send([over = link_, weak, number, sequence, at_engine] {
        const answer found = at_engine();
        if (found.what == answer::kind::stale) {
            return;
        }
        over->reply([weak, number, sequence, found] {
            if (const auto self = weak.lock()) {
                self->answered(number, sequence, found);
            }
        });
    });
    if (!sent) {
        forget(number)->on_refused(not_sent());
        return;
    }
    link_->local(link_->whose().when(to_.on.now() + to_.op_timeout), [weak, number, sequence] {
        if (const auto self = weak.lock()) {
            const auto* still = self->find(number, sequence);
            if (still != nullptr && still->now == state::appending) {
                self->forget(number)->on_refused(no_answer());
            }
        }
    });
    to_.on.yield();
}

void sim_session::answered(std::uint64_t number, std::uint64_t sequence, const answer& what) {
    entry_record* const mine = find(number, sequence);
    if (mine == nullptr || mine->now != state::appending) {
        return;
    }
    switch (what.what) {
    case answer::kind::granted:
        mine->now = state::holding;
        look_later();
        mine->events->on_granted(token(what.token));
        break;
    case answer::kind::waiting:
        mine->now = state::standing;
        look_later();
        mine->events->on_waiting();
        break;
    case answer::kind::busy:
        forget(number)->on_refused({errc::busy, "it is taken"});
        break;
    case answer::kind::misuse:
        forget(number)->on_refused({errc::misuse, "it is in use with another capacity"});
        break;
    case answer::kind::lost:
        forget(number)->on_refused({errc::lost, "the simulated engine does not know the session"});
        break;
    case answer::kind::stale:
        break;
    }
}

void sim_session::told(const notice& what) {
    if (what.id.number > first_fast) {
        if (const auto found = followed_.find(what.id.number); found != followed_.end()) {
            const auto entry = std::move(found->second.second);
            followed_.erase(found);
            entry->on_lost(what.gone);
        }
        return;
    }
    entry_record* const mine = find(what.id.number, what.sequence);
    if (mine == nullptr || mine->now == state::removing) {
        return;
    }
    if (what.gone != loss_reason::none) {
        forget(what.id.number)->on_lost(what.gone);
    } else if (mine->now != state::holding) {
        mine->now = state::holding;
        look_later();
        mine->events->on_granted(token(what.token));
    }
}

void sim_session::remove(std::shared_ptr<claim_events> entry) {
    to_.on.yield();
    const claim& what = entry->claim();
    const std::uint64_t number = what.id.number;
    const std::uint64_t sequence = ++sequence_;
    entries_[number] = {.events = entry, .sequence = sequence, .now = state::removing};
    const auto at_engine = [&to = to_, what, sequence] { to.behind.remove(what, sequence); };
    if (link_->up() && to_.chance.permille(to_.at_once)) {
        at_engine();
        removed(number, sequence, {});
        return to_.on.yield();
    }
    const auto weak = weak_from_this();
    const bool sent = link_->send([over = link_, weak, number, sequence, at_engine] {
        at_engine();
        over->reply([weak, number, sequence] {
            if (const auto self = weak.lock()) {
                self->removed(number, sequence, {});
            }
        });
    });
    if (!sent) {
        removed(number, sequence, not_sent());
        return;
    }
    link_->local(link_->whose().when(to_.on.now() + to_.op_timeout), [weak, number, sequence] {
        if (const auto self = weak.lock()) {
            self->removed(number, sequence, no_answer());
        }
    });
    to_.on.yield();
}

void sim_session::removed(std::uint64_t number, std::uint64_t sequence, const result<void>& outcome) {
    const entry_record* const mine = find(number, sequence);
    if (mine != nullptr && mine->now == state::removing) {
        forget(number)->on_removed(outcome);
    }
}

sim_session::asked sim_session::acknowledged() const {
    asked all;
    for (const auto& [number, each] : entries_) {
        if (each.now == state::standing || each.now == state::holding) {
            all.emplace_back(each.events->claim(), each.sequence);
        }
    }
    return all;
}

/// A notice may get lost: a claim that stands is looked at from time to time.
void sim_session::look_later() {
    if (std::exchange(will_look_, true)) {
        return;
    }
    link_->local(to_.on.time() + asked_ttl_ / 3, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) {
            self->will_look_ = false;
            self->look();
        }
    });
}

void sim_session::look() {
    const asked about = acknowledged();
    if (closed_ || about.empty()) {
        return;
    }
    look_later();
    link_->send([&to = to_, over = link_, weak = weak_from_this(), about] {
        std::vector<answer> found;
        for (const auto& [what, sequence] : about) {
            found.push_back(to.behind.look(what, sequence));
        }
        over->reply([weak, about, found] {
            if (const auto self = weak.lock()) {
                self->looked(about, found);
            }
        });
    });
}

void sim_session::looked(const asked& about, const std::vector<answer>& found) {
    for (std::size_t i = 0; i < about.size(); ++i) {
        const auto& [what, sequence] = about[i];
        if (found[i].what == answer::kind::granted) {
            told({.id = what.id, .sequence = sequence, .token = found[i].token});
        } else if (found[i].what == answer::kind::lost) {
            told({.id = what.id, .sequence = sequence, .gone = loss_reason::expired});
        }
    }
}

result<renewal> sim_session::renew(instant give_up) {
    const instant sent_at = to_.on.now();
    const renewal done{.sent_at = sent_at, .ttl = opened_.ttl};
    if (!to_.behind.how().lease_per_claim) {
        const auto known =
            round_trip<bool>(to_, link_, give_up, [&to = to_, id = id_] { return to.behind.renew(id); });
        if (!known) {
            return known.error();
        }
        if (!*known) {
            return error(errc::lost, "the simulated engine does not know the session");
        }
        for (const auto& [number, followed] : decltype(followed_)(followed_)) {
            if (to_.behind.look(followed.first, 1).what != answer::kind::granted) {
                told({.id = followed.first.id, .sequence = 1, .gone = loss_reason::revoked});
            }
        }
        return done;
    }
    const asked about = acknowledged();
    const auto kept =
        round_trip<std::vector<char>>(to_, link_, give_up, [&to = to_, about, ttl = asked_ttl_] {
            std::vector<char> found;
            for (const auto& [what, sequence] : about) {
                found.push_back(to.behind.renew_claim(what, sequence, ttl) ? 1 : 0);
            }
            return found;
        });
    if (!kept) {
        return kept.error();
    }
    for (std::size_t i = 0; i < about.size(); ++i) {
        const auto& [what, sequence] = about[i];
        entry_record* const mine = find(what.id.number, sequence);
        if (mine == nullptr || mine->now == state::removing) {
            continue;
        }
        if ((*kept)[i] != 0) {
            const auto events = mine->events;
            events->on_renewed(sent_at);
        } else {
            told({.id = what.id, .sequence = sequence, .gone = loss_reason::expired});
        }
    }
    return done;
}

void sim_session::close(instant give_up) noexcept {
    if (std::exchange(closed_, true)) {
        return;
    }
    static_cast<void>(round_trip<bool>(to_, link_, give_up, [&to = to_, id = id_] {
        to.behind.close(id);
        return true;
    }));
    // What is being removed still has its answer to come.
    std::erase_if(entries_, [](const auto& each) { return each.second.now != state::removing; });
}

result<void> sim_session::proclaim(claim_events& entry, std::string_view proposal, instant give_up) {
    const auto known =
        round_trip<bool>(to_, link_, give_up,
                         [&to = to_, what = entry.claim(), sequence = ++sequence_,
                          text = std::string(proposal)] { return to.behind.proclaim(what, sequence, text); });
    if (!known) {
        return known.error();
    }
    if (!*known) {
        return error(errc::lost, "the simulated engine does not know the leader");
    }
    return {};
}

} // namespace holdfast::sim
