// Claims from their append to their removal, and the session itself.
#include "claim_record.hpp"

#include <algorithm>
#include <array>

#include "who.hpp"
#include "words.hpp"

#include "core/boottime.hpp"

namespace holdfast::redis {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

namespace {

// An append that reached the server this much later than it was asked for has a lease that began later, too.
constexpr milliseconds noticeable{1};
// Between two repetitions of a removal; the first follows at once.
constexpr milliseconds first_pause{10};
constexpr milliseconds longest_pause{500};

} // namespace

session::session(std::shared_ptr<engine> shared, const session_request& request)
    : engine_(std::move(shared)), text_(session_text(request.id)), channel_(channel_of(text_)),
      note_(write_note(request.who)), ttl_(std::chrono::floor<milliseconds>(request.ttl)),
      ttl_text_(std::to_string(ttl_.count())) {}

instant session::time_limit() const {
    return boottime() + engine_->where.op_timeout;
}

result<void> session::begin(instant give_up) {
    opened_ = {.sent_at = boottime(), .ttl = ttl_};
    const auto replies = engine_->query({{"SET", note_key(text_), note_, "PX", ttl_text_}}, give_up);
    if (!replies) {
        return replies.error();
    }
    if (replies->front().is_error()) {
        return error_of(replies->front(), engine_->where);
    }
    return {};
}

// Asking and answers

void session::ask(const record_ptr& of, question what) {
    const script& code = what.what == purpose::append  ? append_script
                         : what.what == purpose::renew ? renew_script
                                                       : remove_script;
    const std::string longest = std::to_string(longest_line);
    std::array<std::string_view, 12> words{what.whole ? "EVAL" : "EVALSHA",
                                           what.whole ? code.text : code.sha1,
                                           "2",
                                           of->gate,
                                           of->line,
                                           of->id,
                                           of->weight,
                                           of->capacity,
                                           ttl_text_,
                                           what.only_if_free ? "1" : "0",
                                           longest};
    std::size_t count = what.what == purpose::append ? 11 : what.what == purpose::renew ? 9 : 8;
    if (what.what == purpose::append && of->proposal) {
        words[count++] = *of->proposal;
    } else if (what.what != purpose::append && of->proposes) {
        words[count++] = "p";
    }
    if (what.whole) {
        ++engine_->evals_in_flight[code.index];
    }
    engine_->commands().request(
        std::span(words).first(count), what.give_up,
        [self = shared_from_this(), of, what, index = code.index](result<reply> outcome, instant sent_at) {
            std::size_t& evals = self->engine_->evals_in_flight[index];
            evals -= what.whole ? 1 : 0;
            // An append that was overtaken by its removal is over: sent again it would come after the
            // removal.
            const bool wanted = what.what != purpose::append || of->at == phase::appending;
            if (outcome && outcome->is_error("NOSCRIPT") && what.attempt < 3 && wanted) {
                // It did not run, so it may be sent again. Where another claim's EVAL is ahead of us, the
                // server will know the script by then.
                question again = what;
                again.whole = what.attempt > 0 || evals == 0;
                ++again.attempt;
                self->ask(of, again);
                return;
            }
            self->answered(of, what, outcome, sent_at);
        });
}

void session::answered(const record_ptr& of, const question& what, const result<reply>& outcome,
                       instant sent_at) {
    switch (what.what) {
    case purpose::remove:
        remove_answered(of, outcome);
        break;
    case purpose::renew:
        of->polling = false;
        if (outcome && !outcome->is_error()) {
            renew_answered(of, *outcome, sent_at);
        } else if (of->at == phase::waiting) {
            // Also where a look is planned for later: this one may have been for a message.
            plan_poll(of, verdict::look_again - slowest_look.count());
        }
        break;
    case purpose::append:
        if (of->at != phase::appending) {
            break; // remove() came in between, or the message that it holds came first.
        }
        if (!outcome) {
            refuse(of, outcome.error());
        } else if (outcome->is_error()) {
            refuse(of, error_of(*outcome, engine_->where));
        } else {
            append_answered(of, what, *outcome, sent_at);
        }
        break;
    }
    if (of->look_again && (of->at == phase::waiting || of->at == phase::holding)) {
        poll(of);
    }
    if (what.part_of) {
        finish(what.part_of, outcome);
    }
}

// Append

void session::append(std::shared_ptr<claim_events> entry, bool only_if_free) {
    know(*entry);
    engine_->io->submit([self = shared_from_this(), entry = std::move(entry), only_if_free,
                         asked_at = boottime()] { self->begin_append(entry, only_if_free, asked_at); });
}

// Before anybody else can see the claim.
void session::know(claim_events& entry) {
    if (!entry.store_data) {
        entry.store_data = std::make_shared<record>(entry.claim());
    }
}

session::record_ptr session::record_for(const std::shared_ptr<claim_events>& entry) {
    auto of = std::static_pointer_cast<record>(entry->store_data);
    of->entry = entry;
    records_[of->number] = of;
    return of;
}

void session::begin_append(const std::shared_ptr<claim_events>& entry, bool only_if_free, instant asked_at) {
    const std::string& name = entry->claim().name.bytes();
    const record_ptr of = record_for(entry);
    set_phase(*of, phase::appending);
    of->only_if_free = only_if_free;
    of->asked_at = asked_at;
    of->leased_at = asked_at;
    ++of->appends;
    if (closed_) {
        refuse(of, {errc::unavailable, "this session on Redis at " + engine_->where.shown() + " has ended"});
    } else if (name.starts_with(own_prefix)) {
        refuse(of, {errc::misuse, "'" + name + "' cannot be locked: names that begin with '" +
                                      std::string(own_prefix) + "' are kept for Holdfast's own keys"});
    } else {
        send_append(of);
    }
}

// Without a subscription nobody could tell us of a hand-over: then the claim may hold at once, but not wait.
void session::send_append(const record_ptr& of) {
    set_phase(*of, phase::appending);
    of->look_again = false;
    ask(of,
        {.what = purpose::append, .only_if_free = of->only_if_free || !subscribed_, .give_up = time_limit()});
}

void session::append_answered(const record_ptr& of, const question& what, const reply& got, instant sent_at) {
    const std::string name = "'" + of->gate + "'";
    const long long code = got.integer;
    if (got.type != reply::kind::integer) {
        refuse(of, {errc::unknown_outcome,
                    "Redis at " + engine_->where.shown() + " gave no answer to append " + name});
    } else if (code <= verdict::other_kind) {
        const long long in_use = verdict::other_kind - code;
        const std::string how = in_use == lock_capacity ? "a lock" : std::to_string(in_use) + " permits";
        refuse(of, {errc::misuse,
                    name + " is in use as " + how + "; every user of a name must ask for the same"});
    } else if (code > 0 || code <= verdict::waiting) {
        of->leased_at = sent_at;
        if (sent_at - of->asked_at > noticeable) {
            tell(of, [&](claim_events& entry) { entry.on_renewed(sent_at); });
        }
        if (code > 0) {
            grant(of, static_cast<std::uint64_t>(code));
        } else {
            set_phase(*of, phase::waiting);
            of->look = first_look;
            plan_poll(of, code);
            if (!subscribed_) {
                // It stood in line already, or the subscription fell while the append was under way; then
                // nobody counted it among those who wait for one. on_subscribed() looks at what was missed.
                subscribe();
            }
            tell(of, [](claim_events& entry) { entry.on_waiting(); });
        }
    } else if (code == verdict::busy && !of->only_if_free && what.only_if_free) {
        subscribe_for(of);
    } else if (code == verdict::busy) {
        refuse(of, {errc::busy, name + " is taken"});
    } else {
        refuse(of, {errc::misuse,
                    "the line of " + name + " is full (" + std::to_string(longest_line) + " waiters)"});
    }
}

void session::grant(const record_ptr& of, std::uint64_t token) {
    set_phase(*of, phase::holding);
    of->token = token;
    tell(of, [token](claim_events& entry) { entry.on_granted(holdfast::token(token)); });
}

void session::lose(const record_ptr& of, loss_reason why) {
    tell(of, [why](claim_events& entry) { entry.on_lost(why); });
    forget(of);
}

void session::refuse(const record_ptr& of, error why) {
    tell(of, [&why](claim_events& entry) { entry.on_refused(std::move(why)); });
    forget(of);
}

// Remove and close

void session::remove(std::shared_ptr<claim_events> entry) {
    know(*entry);
    engine_->io->submit([self = shared_from_this(), entry = std::move(entry)] { self->begin_remove(entry); });
}

void session::begin_remove(const std::shared_ptr<claim_events>& entry) {
    const record_ptr of = record_for(entry);
    of->left_holding = of->at == phase::holding;
    of->may_be_removed = false;
    of->remove_until = boottime() + std::max(engine_->where.op_timeout, engine_->where.release_timeout);
    of->remove_pause = {};
    set_phase(*of, phase::removing);
    send_remove(of);
}

void session::send_remove(const record_ptr& of) {
    ask(of, {.what = purpose::remove, .give_up = std::min(time_limit(), of->remove_until)});
}

void session::remove_answered(const record_ptr& of, const result<reply>& outcome) {
    if (of->at != phase::removing) {
        return; // close() asked, and the claim's own removal was answered before.
    }
    if (outcome && !outcome->is_error()) {
        // Only the first removal of a hold can tell: a repeated one finds what the one before has done.
        const bool had_ended = of->left_holding && !of->may_be_removed &&
                               outcome->type == reply::kind::integer && outcome->integer == 0;
        tell(of, [had_ended](claim_events& entry) {
            entry.on_removed(had_ended ? result<void>(error(errc::lost, "it had ended before"))
                                       : result<void>());
        });
        forget(of);
        return;
    }
    if (remove_again(of, outcome)) {
        return;
    }
    const error why = outcome ? error_of(*outcome, engine_->where) : outcome.error();
    tell(of, [&why](claim_events& entry) { entry.on_removed(why); });
    forget(of); // A repeated remove() makes it known again; without one nobody would ever forget it.
}

// A removal may be repeated: whatever of the claim is gone stays gone. So a connection that broke under it
// leaves no doubt while another can be had. Whether it is worth the wait for a server that cannot be reached,
// or does not write just now, is another matter: only who held has something to give back.
bool session::remove_again(const record_ptr& of, const result<reply>& outcome) {
    bool worth = false;
    if (outcome) {
        of->remove_pause = std::max<nanoseconds>(of->remove_pause, first_pause);
        worth = of->left_holding && (outcome->is_error("LOADING") || outcome->is_error("BUSY") ||
                                     outcome->is_error("READONLY") || outcome->is_error("MASTERDOWN"));
    } else if (outcome.error().code() == errc::unknown_outcome) {
        of->may_be_removed = true;
        worth = true;
    } else {
        worth = of->left_holding && outcome.error().code() == errc::unavailable;
    }
    const instant at = boottime() + of->remove_pause;
    if (!worth || closed_ || at >= of->remove_until) {
        return false;
    }
    // Not from here: the connection is about to be taken down.
    of->remove_pause = std::clamp<nanoseconds>(2 * of->remove_pause, first_pause, longest_pause);
    engine_->io->call_at(at, [self = shared_from_this(), of] {
        if (of->at == phase::removing) {
            self->send_remove(of);
        }
    });
    return true;
}

void session::close(instant give_up) noexcept {
    const auto all = std::make_shared<batch>();
    engine_->io->submit([self = shared_from_this(), all, give_up] {
        if (!std::exchange(self->closed_, true)) {
            const auto records = self->records_;
            for (const auto& [number, of] : records) {
                if (of->at != phase::removing && of->at != phase::gone) {
                    ++all->left;
                    self->forget(of); // Quietly: its events are over.
                    self->ask(of, {.what = purpose::remove, .give_up = give_up, .part_of = all});
                }
            }
            self->engine_->unsubscribe(self->channel_);
            ++all->left;
            self->engine_->commands().request(
                {"DEL", note_key(self->text_)}, give_up,
                [self, all](const result<reply>& outcome, instant) { self->finish(all, outcome); });
        }
        self->finish(all, reply{});
    });
    static_cast<void>(wait_for(all, give_up));
}

// The rest

void session::drive(claim_events& entry, instant until) {
    know(entry);
    engine_->io->drive(entry.place, until, std::static_pointer_cast<record>(entry.store_data)->comes_by);
}

void session::interrupt(claim_events& entry) noexcept {
    entry.place.notify();
    engine_->io->interrupt(entry.place);
}

result<void> session::proclaim(claim_events& entry, std::string_view proposal, instant give_up) {
    if (proposal.size() > max_proposal) {
        return error(errc::misuse, "a proposal has at most " + std::to_string(max_proposal) + " bytes");
    }
    const auto of = std::static_pointer_cast<record>(entry.store_data);
    if (of != nullptr) {
        // Before the proposal is there, so that whatever ends the claim takes it along.
        engine_->io->submit([of] { of->proposes = true; });
        const auto got = engine_->run(proclaim_script, of->gate, {of->id, std::string(proposal)}, give_up);
        if (!got) {
            return got.error();
        }
        if (got->integer == 1) {
            return {};
        }
    }
    return error(errc::lost, "'" + entry.claim().name.bytes() + "' is not held any more");
}

void session::set_phase(record& of, phase to) {
    const auto waits = [](phase at) { return at == phase::waiting || at == phase::subscribing; };
    if (waits(to) != waits(of.at)) {
        if (waits(to)) {
            engine_->io->places().expect(channel::messages);
        } else {
            engine_->io->places().settle(channel::messages);
        }
        of.comes_by.store(waits(to) ? channel::messages : channel::commands, std::memory_order_release);
        if (of.entry) {
            engine_->io->wake(of.entry->place);
        }
    }
    if (to != phase::waiting && of.next_poll) {
        engine_->io->cancel(*of.next_poll);
        of.next_poll.reset();
    }
    if (to != phase::waiting && of.watches_gate) {
        unwatch_gate(of);
    }
    of.at = to;
}

void session::forget(const record_ptr& of) {
    set_phase(*of, phase::gone);
    of->entry = nullptr;
    records_.erase(of->number);
}

result<void> session::wait_for(const batch_ptr& all, instant give_up) {
    // The connection keeps to give_up.
    const instant latest = loop::with_grace(give_up);
    while (!all->done.notified() && boottime() < latest) {
        engine_->io->drive(all->done, latest);
    }
    if (!all->done.notified()) {
        return error(errc::unknown_outcome, "Redis at " + engine_->where.shown() + " did not answer in time");
    }
    return all->problem ? result<void>(*all->problem) : result<void>();
}

void session::finish(const batch_ptr& all, const result<reply>& outcome) {
    if (!all->problem) {
        if (!outcome) {
            all->problem = outcome.error();
        } else if (outcome->is_error()) {
            all->problem = error_of(*outcome, engine_->where);
        }
    }
    if (--all->left == 0) {
        all->done.notify();
        engine_->io->wake(all->done);
    }
}

} // namespace holdfast::redis
