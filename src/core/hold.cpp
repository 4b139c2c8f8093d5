#include "hold.hpp"

#include "fork.hpp"
#include "session.hpp"

#include <string>

namespace holdfast::core {

using std::chrono::nanoseconds;

hold::hold(struct claim what, std::shared_ptr<session> owner)
    : claim_events(std::move(what)), owner_(std::move(owner)),
      lease_(owner_->terms().traits.lease_per_claim ? &own_lease_ : &owner_->own_lease()),
      ttl_(owner_->granted_ttl()), op_timeout_(owner_->terms().op_timeout),
      clock_(owner_->terms().traits.clock), mark_(owner_->mark()), notifier_(owner_->terms().notices),
      phase_(phase::appending) {}

hold::hold(struct claim what, std::shared_ptr<session> owner, std::shared_ptr<fast_path> fast,
           std::uint64_t ticket, holdfast::token granted, lease* on)
    : claim_events(std::move(what)), owner_(std::move(owner)),
      lease_(on != nullptr ? on : &owner_->own_lease()), ttl_(owner_->granted_ttl()),
      op_timeout_(owner_->terms().op_timeout), clock_(owner_->terms().traits.clock), mark_(owner_->mark()),
      notifier_(owner_->terms().notices), fast_(std::move(fast)), ticket_(ticket), token_(granted.value()),
      phase_(phase::held) {}

void hold::wakes(std::weak_ptr<wakeable> hears) noexcept {
    const latch_guard locked(guard_);
    hears_ = std::move(hears);
}

void hold::notify() noexcept {
    std::shared_ptr<wakeable> hears;
    {
        const latch_guard locked(guard_);
        hears = hears_.lock();
    }
    place.notify();
    if (hears) {
        hears->wake();
    }
}

void hold::set_phase_and_notify(phase from_a, phase from_b, phase to) noexcept {
    {
        const latch_guard locked(guard_);
        if (phase_ == from_a || phase_ == from_b) {
            phase_ = to;
        }
    }
    notify();
}

void hold::on_waiting() noexcept {
    set_phase_and_notify(phase::appending, phase::appending, phase::waiting);
}

void hold::on_granted(holdfast::token granted) noexcept {
    token_.store(granted.value(), std::memory_order_release);
    set_phase_and_notify(phase::appending, phase::waiting, phase::held);
}

void hold::on_refused(error why) noexcept {
    {
        const latch_guard locked(guard_);
        refusal_ = std::move(why);
    }
    set_phase_and_notify(phase::appending, phase::appending, phase::refused);
}

void hold::on_renewed(instant sent_at) noexcept {
    if (!own_lease_.extend(now(clock_), deadline_of(sent_at, ttl_))) {
        lose(loss_reason::expired);
    }
}

void hold::on_lost(loss_reason why) noexcept {
    lose(why);
    {
        const latch_guard locked(guard_);
        gone_ = true;
    }
    notify();
}

void hold::on_removed(result<void> outcome) noexcept {
    {
        const latch_guard locked(guard_);
        const bool had_ended = !outcome && outcome.error().code() == errc::lost;
        gone_ = gone_ || outcome.has_value() || had_ended;
        if (phase_ == phase::removing) {
            if (had_ended && lost_before_release_ == loss_reason::none) {
                // Nobody had noticed, but the store is sure: whoever releases must hear of it.
                lost_before_release_ = loss_reason::revoked;
                tell_end(event::kind::lost, loss_reason::revoked);
            }
            if (outcome || had_ended) {
                phase_ = phase::removed;
            } else {
                removal_failure_ = outcome.error();
            }
        }
    }
    notify();
}

void hold::begin_append(instant sent_at) noexcept {
    // The lease first: whoever sees the phase must not see the lease of the attempt before.
    own_lease_.start(deadline_of(sent_at, ttl_));
    const latch_guard locked(guard_);
    phase_ = phase::appending;
    refusal_.reset();
}

hold::phase hold::now_in() const noexcept {
    const latch_guard locked(guard_);
    return phase_;
}

error hold::refusal() const {
    const latch_guard locked(guard_);
    return refusal_.value_or(error(errc::unknown_outcome, "the store gave no reason"));
}

nanoseconds hold::valid_for() noexcept {
    if (reason_.load(std::memory_order_acquire) != loss_reason::none) {
        return nanoseconds::zero();
    }
    if (forked_since(mark_)) {
        // Not by lose(): another thread of the parent's may have held a latch when it forked.
        loss_reason none = loss_reason::none;
        reason_.compare_exchange_strong(none, loss_reason::forked);
        return nanoseconds::zero();
    }
    const nanoseconds left = lease_->remaining(now(clock_));
    const bool expired = left <= nanoseconds::zero();
    if (expired || (fast_ && !fast_->holds(ticket_))) {
        const loss_reason why = owner_ ? owner_->reason() : loss_reason::none;
        lose(why != loss_reason::none ? why : expired ? loss_reason::expired : loss_reason::revoked);
        return nanoseconds::zero();
    }
    return left;
}

loss_reason hold::reason() noexcept {
    static_cast<void>(valid_for());
    return reason_.load(std::memory_order_acquire);
}

void hold::renewal_sent(instant at) noexcept {
    const latch_guard locked(guard_);
    if (phase_ == phase::appending || phase_ == phase::waiting || phase_ == phase::held) {
        own_lease_.may_reach(deadline_of(at, ttl_)); // Not once it is being removed: it is renewed no more.
    }
}

void hold::tick(instant at) noexcept {
    if (lease_->remaining(at) <= nanoseconds::zero()) {
        lose(loss_reason::expired);
    }
}

void hold::lose(loss_reason why) noexcept {
    std::optional<std::stop_source> fire;
    {
        const latch_guard locked(guard_);
        if (phase_ != phase::appending && phase_ != phase::waiting && phase_ != phase::held) {
            return;
        }
        phase_ = phase::lost;
        reason_.store(why, std::memory_order_release);
        fire = lost_source_;
        tell_end(event::kind::lost, why);
    }
    notify();
    if (fire) {
        notifier_->fire(std::move(*fire));
    }
}

// Events are queued under the lock, so that they are told in the order in which they happen.
void hold::acquired(nanoseconds waited) noexcept {
    const latch_guard locked(guard_);
    events_ = owner_->terms().audience.lock();
    if (!events_) {
        return;
    }
    acquired_at_ = now(clock_);
    events_->tell({.what = event::kind::acquired,
                   .store = {},
                   .name = claim().name.bytes(),
                   .token = token(),
                   .waited = waited});
    if (phase_ == phase::lost) {
        tell_end(event::kind::lost, reason_.load());
    }
}

void hold::tell_end(event::kind what, loss_reason why) noexcept {
    if (events_) {
        events_->tell({.what = what,
                       .store = {},
                       .name = claim().name.bytes(),
                       .token = token(),
                       .waited = {},
                       .held_for = now(clock_) - acquired_at_,
                       .reason = why});
    }
}

bool hold::inherited() const noexcept {
    return forked_since(mark_);
}

const session_terms& hold::terms() const noexcept {
    return owner_->terms();
}

std::string hold::engine_key() const {
    return owner_->engine().engine_key(*this);
}

std::optional<life_word> hold::second_life() {
    listen(); // What another process lives for is looked at: since when it is held is noted there.
    return owner_->engine().second_life();
}

void hold::listen() {
    if (fast_ && owner_) {
        owner_->watch(shared_from_this()); // The fast path does not register: only who asks pays.
        fast_->follow(ticket_, shared_from_this());
    }
}

std::stop_token hold::lost() {
    if (forked_since(mark_)) {
        return fired_token();
    }
    if (owner_) {
        owner_->start_threads().value();
    }
    notifier_->prepare();
    std::stop_token watch;
    bool first = false;
    bool too_late = false;
    {
        const latch_guard locked(guard_);
        first = !lost_source_.has_value();
        if (first) {
            lost_source_.emplace();
        }
        too_late = reason_.load(std::memory_order_acquire) != loss_reason::none;
        watch = lost_source_->get_token();
        if (too_late && first) {
            lost_source_->request_stop(); // Nobody has the token yet: no callback can run here.
        }
    }
    if (first) {
        listen();
    }
    return watch;
}

result<void> hold::release() noexcept {
    const instant give_up = begin_release();
    for (;;) {
        place.reset();
        if (!owner_ || release_ended(owner_->now() >= give_up)) {
            return finish_release();
        }
        owner_->engine().drive(*this, give_up);
    }
}

instant hold::begin_release() noexcept {
    if (forked_since(mark_)) {
        // The parent holds it still. What the child inherited is left alone, and left allocated.
        static_cast<void>(new std::shared_ptr<session>(std::move(owner_)));
        return {};
    }
    lost_before_release_ = reason();
    if (fast_) {
        {
            const latch_guard locked(guard_);
            end_here(phase::removing); // It may take a round trip: what befalls it meanwhile is no loss.
        }
        if (!fast_->release(ticket_)) {
            fast_->remove(ticket_);
        }
        const latch_guard locked(guard_);
        end_here(phase::removed);
        return release_by_ = owner_->now();
    }
    bool was_lost = false;
    {
        const latch_guard locked(guard_);
        end_here(phase::removing);
        removal_failure_.reset();
        was_lost = lost_before_release_ != loss_reason::none;
    }
    place.reset();
    owner_->engine().remove(shared_from_this());
    // After a loss there is nothing to wait for: whatever is left of it in the store is taken away in the
    // background.
    release_by_ = owner_->now();
    if (!was_lost) {
        release_by_ += owner_->terms().release_timeout;
    }
    return release_by_;
}

/// A loss that came since it was asked for is one: lost() has fired.
void hold::end_here(phase next) noexcept {
    if (phase_ == phase::lost) {
        lost_before_release_ = reason_.load();
    }
    phase_ = next;
}

bool hold::release_ended(bool too_late) const noexcept {
    const latch_guard locked(guard_);
    return too_late || phase_ == phase::removed || removal_failure_.has_value();
}

result<void> hold::finish_release() noexcept {
    const std::string name = "'" + claim().name.bytes() + "'";
    if (forked_since(mark_)) {
        return error(errc::lost, name + " was inherited by a forked child, which holds nothing");
    }
    const std::shared_ptr<session> owner = std::move(owner_);
    owner_.reset();
    if (owner.use_count() == 1) {
        owner->end_by(release_by_); // Nobody else is left: its end is a part of this release.
    }
    std::optional<error> failure;
    std::shared_ptr<event_queue> events; // Ends here, on the caller's thread, and outside the lock.
    bool confirmed = false;
    bool gone = false;                // Or lost by the store's own word.
    auto lost_by = loss_reason::none; // From here on an answer of the store that comes late may change it.
    {
        const latch_guard locked(guard_);
        confirmed = phase_ == phase::removed;
        gone = gone_ || confirmed;
        failure = removal_failure_;
        lost_by = lost_before_release_;
        if (lost_by == loss_reason::none) {
            tell_end(event::kind::released, loss_reason::none);
        }
        events.swap(events_);
    }
    if (!confirmed) {
        owner->remove_later(shared_from_this());
    }
    const nanoseconds left = std::max(store_end() - owner->now(), nanoseconds::zero());
    if (lost_by != loss_reason::none) {
        const std::string lost =
            name + " had been lost (" + std::string(to_string(lost_by)) + ") before it was released";
        gone = gone || lost_by != loss_reason::expired;
        return gone ? error(errc::lost, lost) : error(errc::lost, lost, left);
    }
    if (confirmed) {
        return {};
    }
    const std::string why = failure ? failure->message() : "the store did not answer in time";
    return error(errc::unknown_outcome,
                 "the release of " + name + " was not confirmed: " + why +
                     "; it is tried again, and the hold ends by itself when its lease does",
                 left);
}

instant hold::store_end() const noexcept {
    // The deadline plus what was taken off for drift, and more; and the store counts from the request's
    // arrival, which may be as late as its answer.
    return saturating_add(lease_->last_deadline(), op_timeout_ + ttl_ / 50 + clock_margin);
}

bool hold::must_leave() const noexcept {
    const latch_guard locked(guard_);
    return phase_ == phase::lost && lease_ == &own_lease_ && !gone_;
}

bool hold::retry_removal(store_session& engine, instant at) {
    {
        const latch_guard locked(guard_);
        // A claim without a lease of its own stands as long as its session: there is no end to wait for.
        const bool ended = lease_ == &own_lease_ && at >= store_end();
        if (phase_ != phase::removing || ended) {
            return false;
        }
        if (!removal_failure_) {
            return true; // The last attempt is still under way.
        }
        removal_failure_.reset();
    }
    engine.remove(shared_from_this());
    return true;
}

} // namespace holdfast::core
