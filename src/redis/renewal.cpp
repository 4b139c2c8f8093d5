// Keeping claims alive, and looking at what no message tells.
#include "claim_record.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "who.hpp"

#include "core/boottime.hpp"

namespace holdfast::redis {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

namespace {

// What may lie between the core's reading of the clock and ours when a claim is handed over.
constexpr milliseconds handing_over{1};
// How many claims one script renews: few enough that nobody else waits noticeably for the server.
constexpr std::size_t together = 64;

// Of so many claims, those that need a look of their own; all of them when the script's reply makes no sense.
std::vector<bool> others_among(std::size_t count, const reply& said) {
    const auto is_place = [count](const reply& each) {
        return each.type == reply::kind::integer && each.integer > 0 &&
               static_cast<std::size_t>(each.integer) <= count;
    };
    const bool sound =
        said.type == reply::kind::array && std::all_of(said.items.begin(), said.items.end(), is_place);
    std::vector<bool> others(count, !sound);
    for (std::size_t i = 0; sound && i < said.items.size(); ++i) {
        others[static_cast<std::size_t>(said.items[i].integer) - 1] = true;
    }
    return others;
}

} // namespace

result<renewal> session::renew(instant give_up) {
    const instant sent_at = boottime();
    const auto all = std::make_shared<batch>();
    engine_->io->submit([self = shared_from_this(), all, give_up] {
        ++all->left;
        self->engine_->commands().request(
            {"SET", note_key(self->text_), self->note_, "PX", self->ttl_text_}, give_up,
            [self, all](const result<reply>& outcome, instant) { self->finish(all, outcome); });
        const auto records = self->records_;                      // Events may change them.
        std::map<std::string_view, std::vector<record_ptr>> sole; // Holders of a whole name, by its capacity.
        for (const auto& [number, of] : records) {
            if (self->is_over(*of)) {
                self->give_up(of);
            } else if (of->at == phase::waiting || of->at == phase::holding) {
                ++all->left;
                of->polling = true;
                if (of->at != phase::holding || of->weight != of->capacity || of->proposes) {
                    self->ask(of, {.what = purpose::renew, .give_up = give_up, .part_of = all});
                } else if (auto& alike = sole[of->capacity];
                           alike.emplace_back(of), alike.size() == together) {
                    self->renew_together(std::exchange(alike, {}), give_up, all, false);
                }
            }
        }
        for (auto& [capacity, alike] : sole) {
            if (!alike.empty()) {
                self->renew_together(std::move(alike), give_up, all, false);
            }
        }
        self->finish(all, reply{});
    });
    if (const auto done = wait_for(all, give_up); !done) {
        return done.error();
    }
    return renewal{.sent_at = sent_at, .ttl = ttl_};
}

// Claims that each hold a gate alone. Whatever has become of one of them, its own renewal tells.
void session::renew_together(std::vector<record_ptr> claims, instant give_up, const batch_ptr& all,
                             bool whole) {
    const auto ask_alone = [](session& self, const record_ptr& of, instant until, const batch_ptr& part_of) {
        if (of->at == phase::waiting || of->at == phase::holding) {
            self.ask(of, {.what = purpose::renew, .give_up = until, .part_of = part_of});
        } else {
            of->polling = false;
            self.finish(part_of, reply{}); // It was removed meanwhile.
        }
    };
    if (claims.size() == 1) {
        ask_alone(*this, claims.front(), give_up, all);
        return;
    }
    const std::string keys = std::to_string(2 * claims.size());
    std::vector<std::string_view> words{whole ? "EVAL" : "EVALSHA",
                                        whole ? renew_many_script.text : renew_many_script.sha1, keys};
    for (const record_ptr& of : claims) {
        words.emplace_back(of->gate);
    }
    for (const record_ptr& of : claims) {
        words.emplace_back(of->line);
    }
    words.insert(words.end(), {ttl_text_, claims.front()->capacity});
    std::vector<std::string> heads;
    heads.reserve(claims.size());
    for (const record_ptr& of : claims) {
        words.emplace_back(heads.emplace_back("holdfast " + of->id + " " + std::to_string(of->token) + " "));
    }
    engine_->commands().request(
        words, give_up,
        [self = shared_from_this(), claims, give_up, all, whole, ask_alone](const result<reply>& outcome,
                                                                            instant sent_at) {
            if (outcome && outcome->is_error("NOSCRIPT") && !whole) {
                self->renew_together(claims, give_up, all, true);
                return;
            }
            const std::vector<bool> others =
                outcome ? others_among(claims.size(), *outcome) : std::vector<bool>(claims.size(), false);
            for (std::size_t i = 0; i < claims.size(); ++i) {
                const record_ptr& of = claims[i];
                if (others[i] || (outcome && of->at != phase::holding)) {
                    ask_alone(*self, of, give_up, all);
                    continue;
                }
                reply still;
                still.type = reply::kind::integer;
                still.integer = static_cast<long long>(of->token);
                self->answered(of, {.what = purpose::renew, .part_of = all},
                               outcome ? result<reply>(std::move(still)) : outcome, sent_at);
            }
        });
}

void session::renew_answered(const record_ptr& of, const reply& got, instant sent_at) {
    if (got.type != reply::kind::integer || (of->at != phase::waiting && of->at != phase::holding)) {
        return;
    }
    const long long code = got.integer;
    if (code == verdict::broken) {
        lose(of, loss_reason::broken);
        return;
    }
    if (code == verdict::gone) {
        lose(of, boottime() >= of->leased_at + ttl_ ? loss_reason::expired : loss_reason::revoked);
        return;
    }
    if (is_over(*of)) {
        give_up(of); // The answer came too late: what it says revives nothing.
        return;
    }
    if (code < 0 && of->at == phase::holding) {
        // It was sent while the claim waited, and a message has overtaken the answer.
        return;
    }
    of->leased_at = std::max(of->leased_at, sent_at);
    tell(of, [sent_at](claim_events& entry) { entry.on_renewed(sent_at); });
    if (of->at != phase::waiting) {
        return;
    }
    if (code > 0) {
        grant(of, static_cast<std::uint64_t>(code));
    } else {
        plan_poll(of, code);
    }
}

// Looks that no message causes: at a foreign holder, and when all leases ahead have ended.
void session::plan_poll(const record_ptr& of, long long code) {
    if (of->next_poll) {
        engine_->io->cancel(*of->next_poll);
        of->next_poll.reset();
    }
    nanoseconds pause{};
    if (code <= verdict::behind_foreigner) {
        pause = std::min<nanoseconds>(of->look, milliseconds(verdict::behind_foreigner - code + 1));
        of->look = std::min<nanoseconds>(2 * of->look, slowest_look);
        watch_gate(of);
    } else if (code <= verdict::look_again) {
        pause = milliseconds(verdict::look_again - code + 1);
        of->look = first_look;
    } else {
        return;
    }
    of->next_poll = engine_->io->call_at(
        boottime() + pause, [weak = weak_from_this(), weak_of = std::weak_ptr<record>(of)] {
            const auto due = weak_of.lock();
            if (!due) {
                return;
            }
            due->next_poll.reset();
            if (const auto self = weak.lock(); self && due->at == phase::waiting) {
                self->poll(due);
            }
        });
}

// Messages and answers come on two connections: an answer that is still to come may have been given before
// the message was. What it says cannot stand for the look; it is taken when the answer has come.
void session::look(const record_ptr& of) {
    if (of->at == phase::waiting) {
        poll(of);
    } else if (of->at == phase::appending) {
        of->look_again = true;
    }
}

void session::poll(const record_ptr& of) {
    of->look_again = of->polling;
    if (!of->polling) {
        of->polling = true;
        ask(of, {.what = purpose::renew, .give_up = time_limit()});
    }
}

// By our own clock its lease has ended, and the core counts it as lost. In Redis a late renewal may have kept
// it: it must not be renewed for as long as its handle is kept.
bool session::is_over(const record& of) const {
    return (of.at == phase::waiting || of.at == phase::holding) &&
           boottime() + handing_over >= core::deadline_of(of.leased_at, ttl_);
}

void session::give_up(const record_ptr& of) {
    lose(of, loss_reason::expired);
    ask(of, {.what = purpose::remove, .give_up = time_limit()});
}

} // namespace holdfast::redis
