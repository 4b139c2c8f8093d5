#include "contract/reference_store.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "core/line.hpp"
#include "support/wait_for.hpp"

namespace holdfast::testing {

using namespace std::chrono_literals;

namespace {

instant present() {
    return now(clock_source::boottime);
}

core::place place_of(const claim& what, std::uint32_t capacity) {
    return {.weight = what.weight, .capacity = capacity};
}

error switched_off() {
    return {errc::unavailable, "the reference store is switched off"};
}

bool take_one(std::atomic<int>& budget) {
    int left = budget.load();
    while (left > 0) {
        if (budget.compare_exchange_weak(left, left - 1)) {
            return true;
        }
    }
    return false;
}

} // namespace

class reference_session final : public store_session {
  public:
    reference_session(reference_engine& engine, std::uint64_t number, renewal opened)
        : engine_(engine), number_(number), opened_(opened) {}

    renewal opened() const noexcept override { return opened_; }
    result<renewal> renew(instant give_up) override;
    void close(instant give_up) noexcept override;
    void append(std::shared_ptr<claim_events> entry, bool only_if_free) override;
    void remove(std::shared_ptr<claim_events> entry) override;
    result<void> proclaim(claim_events& entry, std::string_view proposal, instant give_up) override;

  private:
    reference_engine& engine_;
    const std::uint64_t number_;
    const renewal opened_;
};

class reference_store final : public store {
  public:
    explicit reference_store(reference_engine& engine) : engine_(engine), connected_(engine.connected_) {}

    store_traits traits() const override {
        return {.engine = "reference",
                .gives = level::fenced,
                .why = {},
                .clock = clock_source::boottime,
                .lease_per_claim = engine_.lease_per_claim,
                .min_ttl = 20ms,
                .max_ttl = 24h};
    }
    result<void> check(instant) override {
        if (engine_.unreachable) {
            return error(errc::unavailable, "the reference store is switched off");
        }
        return {};
    }
    result<std::shared_ptr<store_session>> open(const session_request& request, instant give_up) override {
        ++engine_.opens;
        while (engine_.silent && present() < give_up) {
            std::this_thread::sleep_for(1ms);
        }
        if (engine_.unreachable || engine_.silent) {
            return error(errc::unavailable, "the reference store is switched off");
        }
        const std::scoped_lock locked(engine_.mutex_);
        const instant at = present();
        const std::uint64_t number = ++engine_.last_session_;
        engine_.sessions_[number] = {.who = request.who, .ttl = request.ttl, .ends = at + request.ttl};
        return std::shared_ptr<store_session>(
            std::make_shared<reference_session>(engine_, number, renewal{.sent_at = at, .ttl = request.ttl}));
    }
    result<std::vector<resource_status>> list(instant) override {
        std::vector<resource_status> all;
        const std::scoped_lock locked(engine_.mutex_);
        for (const auto& [name, line] : engine_.lines_) {
            resource_status shown{.name = name, .capacity = line.front().capacity, .claims = {}};
            for (const auto& each : line) {
                const auto& session = engine_.sessions_.at(each.session);
                shown.claims.push_back({.id = to_string(each.events->claim().id),
                                        .holds = each.token != 0,
                                        .weight = each.events->claim().weight,
                                        .token = each.token,
                                        .foreign = false,
                                        .stale = false,
                                        .who = session.who,
                                        .since = each.since,
                                        .ttl_left = session.ends - present(),
                                        .proposal = each.proposal});
            }
            all.push_back(std::move(shown));
        }
        return all;
    }
    result<std::size_t> break_holds(const resource_name& name, std::optional<token> only, instant) override;
    result<void> resize(const resource_name& name, std::uint32_t permits, instant) override;
    std::vector<finding> diagnose(std::chrono::nanoseconds, instant) override {
        if (engine_.unreachable || engine_.silent) {
            return {{finding::severity::error, "reachability", "the reference store is switched off",
                     "switch it on"}};
        }
        return {{finding::severity::fine, "reachability", "it is in this very process", {}}};
    }

  private:
    reference_engine& engine_;
    const std::shared_ptr<int> connected_;
};

reference_engine::reference_engine() : expiry_([this] { expire_loop(); }) {}

reference_engine::~reference_engine() {
    silent = false;
    unreachable = true; // Nobody gets an answer that is worth waiting for.
    if (!wait_for([this] { return connections() == 0; }, 60s)) {
        std::fputs("a connection to the reference store has not ended\n", stderr);
        std::abort();
    }
    {
        const std::scoped_lock locked(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    expiry_.join();
}

std::unique_ptr<store> reference_engine::connect() {
    return std::make_unique<reference_store>(*this);
}

void reference_engine::grant_locked(const std::string& name, deliveries& out) {
    auto& line = lines_[name];
    std::vector<core::place> places;
    for (const auto& each : line) {
        places.push_back(place_of(each.events->claim(), each.capacity));
    }
    const std::size_t granted = core::granted_prefix(places);
    for (std::size_t i = 0; i < granted; ++i) {
        if (line[i].token == 0) {
            last_token_ =
                static_cast<std::uint64_t>(static_cast<std::int64_t>(last_token_) + token_step.load());
            line[i].token = last_token_;
            line[i].since = std::chrono::system_clock::now();
            out.emplace_back(line[i].events, line[i].token);
        }
    }
    if (line.empty()) {
        lines_.erase(name);
    }
}

reference_engine::deliveries reference_engine::settle_locked() {
    deliveries out;
    std::vector<std::string> names;
    for (const auto& [name, line] : lines_) {
        names.push_back(name);
    }
    for (const auto& name : names) {
        grant_locked(name, out);
    }
    return out;
}

void reference_engine::deliver(const deliveries& granted) {
    for (const auto& [events, value] : granted) {
        events->on_granted(token(value));
    }
}

void reference_engine::drop_sessions_locked(const std::vector<std::uint64_t>& ended) {
    for (const std::uint64_t number : ended) {
        sessions_.erase(number);
        for (auto& [name, line] : lines_) {
            std::erase_if(line, [&](const claim_record& each) { return each.session == number; });
        }
    }
}

void reference_engine::expire_loop() {
    std::unique_lock locked(mutex_);
    while (!stopping_) {
        std::vector<std::uint64_t> ended;
        for (const auto& [number, session] : sessions_) {
            if (!never_expires && present() >= session.ends) {
                ended.push_back(number);
            }
        }
        if (!ended.empty()) {
            drop_sessions_locked(ended);
            const deliveries granted = settle_locked();
            locked.unlock();
            deliver(granted);
            locked.lock();
        }
        wake_.wait_until(locked, std::chrono::system_clock::now() + 2ms);
    }
}

void reference_engine::forget_everything() {
    const std::scoped_lock locked(mutex_);
    sessions_.clear();
    lines_.clear();
}

void reference_engine::take_away(const std::string& name, loss_reason why) {
    std::vector<claim_record> taken;
    {
        const std::scoped_lock locked(mutex_);
        if (const auto found = lines_.find(name); found != lines_.end()) {
            taken.swap(found->second);
            lines_.erase(found);
        }
    }
    for (const auto& each : taken) {
        each.events->on_lost(why);
    }
}

std::size_t reference_engine::claims_in(const std::string& name) {
    const std::scoped_lock locked(mutex_);
    const auto found = lines_.find(name);
    return found == lines_.end() ? 0 : found->second.size();
}

std::size_t reference_engine::sessions() {
    const std::scoped_lock locked(mutex_);
    return sessions_.size();
}

result<renewal> reference_session::renew(instant give_up) {
    ++engine_.renewals;
    while (engine_.silent && present() < give_up) {
        std::this_thread::sleep_for(1ms);
    }
    if (engine_.unreachable || engine_.silent) {
        return error(errc::unavailable, "the reference store is switched off");
    }
    const instant at = present();
    std::vector<std::shared_ptr<claim_events>> renewed;
    renewal answer{.sent_at = at, .ttl = {}};
    {
        const std::scoped_lock locked(engine_.mutex_);
        const auto found = engine_.sessions_.find(number_);
        if (found == engine_.sessions_.end()) {
            return error(errc::lost, "the reference store does not know this session");
        }
        found->second.ends = at + found->second.ttl;
        answer.ttl = found->second.ttl;
        for (const auto& [name, line] : engine_.lines_) {
            for (const auto& each : line) {
                if (each.session == number_ && engine_.lease_per_claim) {
                    renewed.push_back(each.events);
                }
            }
        }
    }
    for (const auto& each : renewed) {
        each->on_renewed(at);
    }
    return answer;
}

void reference_session::close(instant) noexcept {
    if (engine_.unreachable || engine_.silent) {
        return;
    }
    reference_engine::deliveries granted;
    {
        const std::scoped_lock locked(engine_.mutex_);
        engine_.drop_sessions_locked({number_});
        granted = engine_.settle_locked();
    }
    reference_engine::deliver(granted);
}

void reference_session::append(std::shared_ptr<claim_events> entry, bool only_if_free) {
    ++engine_.appends;
    if (engine_.silent) {
        return;
    }
    if (engine_.unreachable) {
        entry->on_refused({errc::unavailable, "the reference store is switched off"});
        return;
    }
    const claim& what = entry->claim();
    const std::string& name = what.name.bytes();
    std::optional<error> refused;
    std::uint64_t granted = 0;
    {
        const std::scoped_lock locked(engine_.mutex_);
        auto& line = engine_.lines_[name];
        auto mine = std::find_if(line.begin(), line.end(),
                                 [&](const auto& each) { return each.events->claim().id == what.id; });
        if (!engine_.sessions_.contains(number_)) {
            refused = error(errc::lost, "the reference store does not know this session");
        } else if (mine == line.end()) {
            if (!line.empty() &&
                !core::may_join(place_of(line.front().events->claim(), line.front().capacity),
                                place_of(what, what.capacity))) {
                refused = error(errc::misuse, "'" + name + "' is in use with capacity " +
                                                  std::to_string(line.front().capacity));
            } else {
                line.push_back({.events = entry,
                                .session = number_,
                                .token = 0,
                                .capacity = what.capacity,
                                .proposal = what.proposal,
                                .since = std::chrono::system_clock::now()});
                reference_engine::deliveries newly;
                engine_.grant_locked(name, newly);
                mine = line.end() - 1;
                if (only_if_free && mine->token == 0) {
                    line.pop_back();
                    refused = error(errc::busy, "'" + name + "' is taken");
                }
            }
        }
        if (!refused) {
            granted = mine->token;
        } else if (line.empty()) {
            engine_.lines_.erase(name);
        }
    }
    if (take_one(engine_.append_replies_to_lose)) {
        entry->on_refused({errc::unknown_outcome, "the reply was lost"});
    } else if (refused) {
        entry->on_refused(*refused);
    } else if (granted != 0) {
        entry->on_granted(token(granted));
    } else {
        entry->on_waiting();
    }
}

void reference_session::remove(std::shared_ptr<claim_events> entry) {
    if (engine_.silent) {
        return;
    }
    if (engine_.unreachable || take_one(engine_.removals_to_fail)) {
        entry->on_removed(error(errc::unavailable, "the reference store is switched off"));
        return;
    }
    reference_engine::deliveries granted;
    {
        const std::scoped_lock locked(engine_.mutex_);
        if (const auto found = engine_.lines_.find(entry->claim().name.bytes());
            found != engine_.lines_.end()) {
            std::erase_if(found->second,
                          [&](const auto& each) { return each.events->claim().id == entry->claim().id; });
            engine_.grant_locked(std::string(found->first), granted);
        }
    }
    entry->on_removed({});
    reference_engine::deliver(granted);
}

result<void> reference_session::proclaim(claim_events& entry, std::string_view proposal, instant) {
    if (proposal.size() > max_proposal) {
        return error(errc::misuse, "a proposal has at most " + std::to_string(max_proposal) + " bytes");
    }
    if (engine_.unreachable || engine_.silent) {
        return switched_off();
    }
    const std::scoped_lock locked(engine_.mutex_);
    if (const auto found = engine_.lines_.find(entry.claim().name.bytes()); found != engine_.lines_.end()) {
        for (auto& each : found->second) {
            if (each.events->claim().id == entry.claim().id && each.token != 0) {
                each.proposal = std::string(proposal);
                return {};
            }
        }
    }
    return error(errc::lost, "the claim does not hold any more");
}

result<std::size_t> reference_store::break_holds(const resource_name& name, std::optional<token> only,
                                                 instant) {
    if (engine_.unreachable || engine_.silent) {
        return switched_off();
    }
    std::vector<std::shared_ptr<claim_events>> taken;
    reference_engine::deliveries granted;
    {
        const std::scoped_lock locked(engine_.mutex_);
        if (const auto found = engine_.lines_.find(name.bytes()); found != engine_.lines_.end()) {
            std::erase_if(found->second, [&](const auto& each) {
                const bool ends = each.token != 0 && (!only || only->value() == each.token);
                if (ends) {
                    taken.push_back(each.events);
                }
                return ends;
            });
            engine_.grant_locked(name.bytes(), granted);
        }
    }
    for (const auto& each : taken) {
        each->on_lost(loss_reason::broken);
    }
    reference_engine::deliver(granted);
    return taken.size();
}

result<void> reference_store::resize(const resource_name& name, std::uint32_t permits, instant) {
    if (engine_.unreachable || engine_.silent) {
        return switched_off();
    }
    if (permits == 0 || permits > max_permits) {
        return error(errc::misuse, "a semaphore has 1 to " + std::to_string(max_permits) + " permits");
    }
    reference_engine::deliveries granted;
    {
        const std::scoped_lock locked(engine_.mutex_);
        const auto found = engine_.lines_.find(name.bytes());
        if (found == engine_.lines_.end()) {
            return {};
        }
        for (const auto& each : found->second) {
            if (each.capacity == lock_capacity || each.events->claim().weight > permits) {
                return error(errc::misuse, "'" + name.bytes() +
                                               "' is a lock, or a claim in it weighs more than " +
                                               std::to_string(permits));
            }
        }
        for (auto& each : found->second) {
            each.capacity = permits;
        }
        engine_.grant_locked(name.bytes(), granted);
    }
    reference_engine::deliver(granted);
    return {};
}

} // namespace holdfast::testing
