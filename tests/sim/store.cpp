#include "store.hpp"

#include <algorithm>

namespace holdfast::sim {

using std::chrono::nanoseconds;
using answer = engine::answer;

namespace {

/// A request that its sender waits for.
template <typename T>
struct question {
    std::optional<T> answered;
};

error not_sent() {
    return {errc::unavailable, "the simulated engine is out of reach"};
}

error no_answer() {
    return {errc::unknown_outcome, "the simulated engine did not answer in time"};
}

/// Sends and waits. `ask` is run at the engine.
template <typename T, typename Ask>
result<T> round_trip(backend& to, const std::shared_ptr<link>& over, instant give_up, Ask ask) {
    const auto open = std::make_shared<question<T>>();
    give_up = std::min(give_up, to.on.now() + to.op_timeout);
    const bool sent = over->send([&to, over, open, ask] {
        over->reply([&to, open, value = ask()] {
            open->answered = value;
            to.on.wake(open.get());
        });
    });
    if (!sent) {
        return not_sent();
    }
    while (!open->answered && to.on.now() < give_up) {
        to.on.sleep(open.get(), give_up);
    }
    if (!open->answered) {
        return no_answer();
    }
    return *open->answered;
}

class sim_session final : public store_session, public std::enable_shared_from_this<sim_session> {
  public:
    sim_session(backend& to, std::shared_ptr<link> over, const session_request& request, instant sent_at)
        : to_(to), link_(std::move(over)), id_(request.id),
          asked_ttl_(request.ttl), opened_{.sent_at = sent_at, .ttl = to.behind.granted_ttl(request.ttl)} {}
    ~sim_session() override { to_.listeners.erase(id_); }
    sim_session(const sim_session&) = delete;
    sim_session& operator=(const sim_session&) = delete;

    void begin();
    void look();

    renewal opened() const noexcept override { return opened_; }
    result<renewal> renew(instant give_up) override;
    void close(instant give_up) noexcept override;
    void append(std::shared_ptr<claim_events> entry, bool only_if_free) override;
    void remove(std::shared_ptr<claim_events> entry) override;
    result<void> proclaim(claim_events& entry, std::string_view proposal, instant give_up) override;

  private:
    enum class state { appending, standing, holding, removing };
    struct entry_record {
        std::shared_ptr<claim_events> events;
        std::uint64_t sequence = 0;
        state now = state::appending;
    };
    using asked = std::vector<std::pair<claim, std::uint64_t>>;

    entry_record* find(std::uint64_t number, std::uint64_t sequence);
    std::shared_ptr<claim_events> forget(std::uint64_t number);
    void answered(std::uint64_t number, std::uint64_t sequence, const answer& what);
    void removed(std::uint64_t number, std::uint64_t sequence, const result<void>& outcome);
    void told(const notice& what);
    void looked(const asked& about, const std::vector<answer>& found);
    asked acknowledged() const;
    void look_later();

    backend& to_;
    const std::shared_ptr<link> link_;
    const session_key id_;
    const nanoseconds asked_ttl_;
    const renewal opened_;
    std::map<std::uint64_t, entry_record> entries_;
    std::uint64_t sequence_ = 0;
    bool closed_ = false;
    bool will_look_ = false;
};

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
        return;
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
    const claim& what = entry->claim();
    const std::uint64_t number = what.id.number;
    const std::uint64_t sequence = ++sequence_;
    entries_[number] = {.events = entry, .sequence = sequence, .now = state::removing};
    const auto at_engine = [&to = to_, what, sequence] { to.behind.remove(what, sequence); };
    if (link_->up() && to_.chance.permille(to_.at_once)) {
        at_engine();
        removed(number, sequence, {});
        return;
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

class sim_store final : public store {
  public:
    explicit sim_store(backend& to) : to_(to), link_(to.over.connect(to.on.mine())) {
        network_thread_ = to_.on.start_in(to_.on.mine(), "network", [over = link_] { over->serve(); });
        link_->reconnected = [this] {
            for (const auto& each : sessions_) {
                if (const auto session = each.lock()) {
                    session->look();
                }
            }
        };
    }
    ~sim_store() override {
        link_->stop();
        to_.on.join(network_thread_);
        link_->reconnected = nullptr;
    }
    sim_store(const sim_store&) = delete;
    sim_store& operator=(const sim_store&) = delete;

    store_traits traits() const override {
        return {.engine = "simulated",
                .gives = level::fenced,
                .why = {},
                .clock = clock_source::boottime,
                .lease_per_claim = to_.behind.how().lease_per_claim,
                .min_ttl = std::chrono::milliseconds(1),
                .max_ttl = std::chrono::hours(24)};
    }
    result<void> check(instant) override { return {}; }

    result<std::shared_ptr<store_session>> open(const session_request& request, instant give_up) override {
        const instant sent_at = to_.on.now();
        auto made = std::make_shared<sim_session>(to_, link_, request, sent_at);
        made->begin(); // Before the engine knows it: a notice must find its listener.
        const auto opened = round_trip<bool>(to_, link_, give_up, [&to = to_, request] {
            to.behind.open(request.id, request.ttl);
            return true;
        });
        if (!opened) {
            return error(errc::unavailable, "opening a simulated session: " + opened.error().message());
        }
        std::erase_if(sessions_, [](const auto& each) { return each.expired(); });
        sessions_.push_back(made);
        return std::shared_ptr<store_session>(std::move(made));
    }

    result<std::vector<resource_status>> list(instant) override { return std::vector<resource_status>(); }

    result<resource_status> show(const resource_name& name, instant give_up) override {
        return round_trip<resource_status>(
            to_, link_, give_up, [&to = to_, bytes = name.bytes()] { return to.behind.show(bytes); });
    }
    result<std::size_t> break_holds(const resource_name& name, std::optional<token> only,
                                    instant give_up) override {
        return round_trip<std::size_t>(to_, link_, give_up, [&to = to_, bytes = name.bytes(), only] {
            return to.behind.break_holds(bytes, only);
        });
    }

  private:
    backend& to_;
    const std::shared_ptr<link> link_;
    kernel::thread_number network_thread_;
    std::vector<std::weak_ptr<sim_session>> sessions_;
};

} // namespace

std::unique_ptr<store> connect(backend& to) {
    return std::make_unique<sim_store>(to);
}

} // namespace holdfast::sim
