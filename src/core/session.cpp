#include "session.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

#include "fork.hpp"
#include "identity.hpp"

namespace holdfast::core {

using std::chrono::nanoseconds;

namespace {

/// How soon a failed renewal or removal is tried again: often enough to use what is left of the lease.
constexpr nanoseconds retry_pause(nanoseconds ttl) noexcept {
    return std::min<nanoseconds>(ttl / 20, std::chrono::seconds(1));
}

/// A session that lasts for less asks for no hints: giving them back can take longer than all it does.
constexpr nanoseconds settling_time = std::chrono::milliseconds(100);

} // namespace

result<std::shared_ptr<session>> session::open(const session_terms& terms, instant give_up) {
    auto alarm =
        std::make_unique<alarm_clock>(terms.traits.clock); // First: what fails leaves nothing behind.
    session_request request{.id = random_session_id(), .ttl = terms.ttl, .who = terms.who};
    auto opened = terms.engine->open(request, give_up);
    if (!opened) {
        return opened.error();
    }
    // Not make_shared: the constructor is private, and threads start only once the object is owned.
    std::shared_ptr<session> made(new session(terms, request.id, std::move(alarm), std::move(*opened)), end);
    if (!terms.threads_later) {
        if (auto started = made->start_threads(); !started) {
            return started.error();
        }
    }
    return made;
}

result<void> session::start_threads() {
    if (has_threads_.load(std::memory_order_acquire)) {
        return {};
    }
    const latch_guard locked(starting_);
    try {
        engine_->start_threads();
        if (!alarm_thread_.joinable()) {
            alarm_thread_ = quiet_thread::start([this] { watch_deadlines(); });
        }
        if (!upkeep_thread_.joinable()) {
            upkeep_thread_ = quiet_thread::start([this] { live(); });
        }
    } catch (const std::system_error& failure) {
        return error(errc::unavailable, std::string("starting the threads of a session: ") + failure.what());
    }
    has_threads_.store(true, std::memory_order_release);
    return {};
}

session::session(session_terms terms, std::array<std::uint8_t, 16> id, std::unique_ptr<alarm_clock> alarm,
                 std::shared_ptr<store_session> engine)
    : terms_(std::move(terms)), id_(id), engine_(std::move(engine)), granted_ttl_(engine_->opened().ttl),
      mark_(process_mark()), alarm_(std::move(alarm)) {
    lease_.start(terms_.traits.lease_per_claim ? instant::max()
                                               : deadline_of(engine_->opened().sent_at, granted_ttl_));
}

void session::end(session* unwanted) noexcept {
    if (forked_since(unwanted->mark_)) {
        return; // The threads and the connection are the parent's; a forked child leaves them as they are.
    }
    const auto call = unwanted->call_;
    const clock_source clock = unwanted->terms_.traits.clock;
    const bool inside = unwanted->upkeep_thread_.runs_here() || unwanted->alarm_thread_.runs_here();
    const bool over = !unwanted->alive();
    const instant give_up = std::min(unwanted->now() + unwanted->terms_.release_timeout,
                                     instant(nanoseconds(unwanted->end_by_.load())));
    const bool lives = unwanted->upkeep_thread_.joinable();
    call->stopping.store(true);
    if (!lives) { // There was no thread left for it, or none was wanted yet.
        unwanted->alarm_->ring();
        if (unwanted->alarm_thread_.joinable()) {
            unwanted->alarm_thread_.join();
        }
        unwanted->close_engine();
        delete unwanted;
        return;
    }
    call->place.notify(); // From here on it may be gone.
    while (!inside && !over) {
        call->ended_place.reset();
        if (call->ended.load() || holdfast::now(clock) >= give_up) {
            return;
        }
        call->ended_place.wait_until(give_up, clock);
    }
}

/// Upkeep's thread: it outlives every reference to the session, and is the one that deletes it.
void session::live() {
    upkeep();
    alarm_->ring();
    alarm_thread_.join();
    close_engine();
    upkeep_thread_.detach();
    const auto call = call_;
    delete this;
    call->ended.store(true);
    call->ended_place.notify();
}

void session::close_engine() noexcept {
    if (!closed_.exchange(true)) {
        engine_->close(now() + terms_.release_timeout);
    }
}

claim_id session::next_id() noexcept {
    return {.session = id_, .number = ++last_number_};
}

void session::watch(const std::shared_ptr<hold>& claim) {
    {
        const latch_guard locked(guard_);
        if (watched_.size() >= purge_at_) {
            std::erase_if(watched_, [](const auto& entry) { return entry.expired(); });
            purge_at_ = std::max<std::size_t>(64, 2 * watched_.size());
        }
        watched_.push_back(claim);
    }
    if (const loss_reason why = reason(); why != loss_reason::none) {
        claim->lose(why); // It came too late to hear of the loss with the others.
    }
}

std::vector<std::shared_ptr<hold>> session::watched() {
    const latch_guard locked(guard_);
    std::vector<std::shared_ptr<hold>> alive;
    alive.reserve(watched_.size());
    for (const auto& entry : watched_) {
        if (auto claim = entry.lock()) {
            alive.push_back(std::move(claim));
        }
    }
    return alive;
}

void session::doubt() noexcept {
    in_doubt_.store(true);
    call_->place.notify();
}

void session::remove_later(std::shared_ptr<hold> claim) {
    {
        const latch_guard locked(guard_);
        removals_.push_back(std::move(claim));
    }
    call_->place.notify();
}

void session::lose(loss_reason why) {
    loss_reason none = loss_reason::none;
    if (!reason_.compare_exchange_strong(none, why)) {
        return;
    }
    lease_.end();
    for (const auto& claim : watched()) {
        claim->lose(why);
        engine_->interrupt(*claim); // Its caller may be driving the store, deep in the system.
    }
    call_->place.notify();
}

// Upkeep: renew every renewal_interval; after a failure more often, until the deadline.

void session::upkeep() {
    instant renew_at = engine_->opened().sent_at + renewal_interval(granted_ttl_);
    while (!call_->stopping.load()) {
        call_->place.reset();
        const bool lost = reason() != loss_reason::none;
        if (lost) {
            // What may be left of it in the store only keeps others waiting.
            close_engine();
            if (!call_->stopping.load()) {
                call_->place.wait_until(instant::max(), terms_.traits.clock);
            }
            continue;
        }
        if (in_doubt_.exchange(false) || now() >= renew_at) {
            renew_at = renew_once();
            continue;
        }
        instant wake = renew_at;
        retry_removals(now());
        {
            const latch_guard locked(guard_);
            if (!removals_.empty()) {
                wake = std::min(wake, now() + retry_pause(granted_ttl_));
            }
        }
        if (!call_->stopping.load()) {
            call_->place.wait_until(wake, terms_.traits.clock);
        }
    }
}

instant session::renew_once() {
    const instant started = now();
    if (terms_.traits.lease_per_claim) {
        for (const auto& claim : watched()) {
            claim->renewal_sent(started);
        }
    } else {
        lease_.may_reach(deadline_of(started, granted_ttl_));
    }
    const auto renewed = engine_->renew(started + std::min(terms_.op_timeout, granted_ttl_ / 3));
    if (renewed) {
        const bool kept = terms_.traits.lease_per_claim ||
                          lease_.extend(now(), deadline_of(renewed->sent_at, renewed->ttl));
        if (!kept) {
            lose(loss_reason::expired); // The answer came after the deadline.
        } else {
            at_risk_ = false;
            tell(event::kind::renewed);
        }
        return renewed->sent_at + renewal_interval(granted_ttl_);
    }
    if (renewed.error().code() == errc::lost) {
        lose(lease_.remaining(now()).count() > 0 ? loss_reason::revoked : loss_reason::expired);
    } else if (!std::exchange(at_risk_, true)) {
        tell(event::kind::at_risk);
    }
    return now() + retry_pause(granted_ttl_);
}

void session::tell(event::kind what) noexcept {
    if (terms_.events) {
        terms_.events->tell({.what = what, .store = {}, .name = {}, .token = {}});
    }
}

void session::retry_removals(instant at) {
    std::vector<std::shared_ptr<hold>> pending;
    {
        const latch_guard locked(guard_);
        pending.swap(removals_);
    }
    std::erase_if(pending, [&](const auto& claim) { return !claim->retry_removal(*engine_, at); });
    const latch_guard locked(guard_);
    removals_.insert(removals_.end(), pending.begin(), pending.end());
}

// Alarm: wakes when the earliest deadline has passed. A claim registered meanwhile ends later than one TTL
// from before, so a nap of one TTL at most is short enough for it.

instant session::next_deadline(instant at) {
    if (!terms_.traits.lease_per_claim) {
        return lease_.deadline();
    }
    instant next = deadline_of(at, granted_ttl_);
    for (const auto& claim : watched()) {
        claim->tick(at);
        if (claim->must_leave()) {
            engine_->remove(claim);
        }
        if (const auto phase = claim->now_in();
            phase == hold::phase::held || phase == hold::phase::waiting || phase == hold::phase::appending) {
            next = std::min(next, claim->deadline());
        }
    }
    return next;
}

void session::watch_deadlines() {
    std::unique_ptr<session_hints> hints;
    instant ask_for_hints = terms_.traits.hints ? engine_->opened().sent_at + settling_time : instant::max();
    while (!call_->stopping.load() && reason() == loss_reason::none) {
        const instant at = now();
        if (lease_.remaining(at) <= nanoseconds::zero()) {
            lose(loss_reason::expired);
            break;
        }
        bool hinted = false;
        if (at >= ask_for_hints) {
            ask_for_hints = instant::max();
            hints = engine_->hints();
            hinted = hints != nullptr;
        } else {
            hinted = alarm_->wait_until(std::min(next_deadline(at), ask_for_hints), hints ? hints->fd() : -1);
        }
        if (hinted && hints->heed()) {
            doubt();
        }
    }
}

} // namespace holdfast::core
