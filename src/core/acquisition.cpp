#include "acquisition.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::core {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

namespace {

constexpr nanoseconds first_pause = milliseconds(5);
constexpr nanoseconds longest_pause = milliseconds(500);

} // namespace

acquisition::acquisition(resource& from, std::uint32_t weight, patience how)
    : from_(from), weight_(weight), how_(std::move(how)),
      until_(how_.limit ? saturating_add(from.client().now(), *how_.limit) : instant::max()),
      give_up_(unreachable_limit(from.client().now())), pause_(first_pause) {
    if (from_.client().terms().events) {
        started_ = from_.client().now();
    }
}

acquisition::step acquisition::go_on() {
    for (;;) {
        switch (state_) {
        case state::beginning:
            begin();
            break;
        case state::opening:
            if (opened_) {
                enter_line();
            } else if (how_.stop.stop_requested()) {
                state_ =
                    state::beginning; // Nothing has been sent: it ends there, whatever the session comes to.
            } else {
                return step::needs_session;
            }
            break;
        case state::in_line:
            claim_->place.reset();
            if (!look()) {
                return step::waits;
            }
            break;
        case state::leaving:
            claim_->place.reset();
            if (!claim_->release_ended(from_.client().now() >= leave_by_)) {
                return step::waits;
            }
            left();
            break;
        case state::pausing:
            if (!how_.stop.stop_requested() && from_.client().now() < pause_until_) {
                return step::pauses;
            }
            after_pause();
            break;
        case state::done:
            return step::done;
        }
    }
}

instant acquisition::until() const noexcept {
    switch (state_) {
    case state::leaving:
        return leave_by_;
    case state::pausing:
        return pause_until_;
    default:
        return until_;
    }
}

void acquisition::begin() {
    if (how_.stop.stop_requested()) {
        return finish(error(errc::cancelled, "acquiring " + from_.shown() + " was cancelled"));
    }
    highest_token_ = from_.record().highest_token.load();
    opened_.reset();
    state_ = state::opening;
}

void acquisition::enter_line() {
    if (!*opened_) {
        const error why = opened_->error();
        if (try_again_after(why)) {
            return pause_before(state::beginning);
        }
        return finish(error(why.code(), "acquiring " + from_.shown() + ": " + why.message()));
    }
    on_ = std::move(**opened_);
    if (!how_.only_if_free) { // It may wait for longer than a lease lasts.
        if (const auto started = on_->start_threads(); !started) {
            on_.reset();
            return finish(started.error());
        }
    }
    if (const auto fast = how_.proposal ? nullptr : from_.fast(on_, weight_)) {
        std::uint64_t ticket = 0;
        if (const token granted = fast->try_acquire(ticket); granted.value() != 0) {
            struct claim shape {
                .name = from_.name(), .id = {}, .weight = weight_, .capacity = from_.capacity(),
            };
            claim_ = std::make_shared<hold>(std::move(shape), on_, fast, ticket, granted);
            return take();
        }
    }
    claim_ = std::make_shared<hold>(holdfast::claim{.name = from_.name(),
                                                    .id = on_->next_id(),
                                                    .weight = weight_,
                                                    .capacity = from_.capacity(),
                                                    .proposal = how_.proposal},
                                    on_);
    claim_->wakes(hears_);
    claim_->will_be_driven = hears_.expired();
    perhaps_in_line_ = false;
    state_ = state::in_line;
    claim_->begin_append(on_->now());
    on_->watch(claim_); // Only now: the session's alarm looks at the lease that has just begun.
    on_->engine().append(claim_, how_.only_if_free);
}

/// Acts on the claim's phase; false while it has to wait on.
bool acquisition::look() {
    switch (claim_->now_in()) {
    case hold::phase::held:
        take();
        return true;
    case hold::phase::lost: {
        const std::string why(to_string(claim_->reason()));
        if (!how_.only_if_free) {
            reachable(); // It stood in line until now, perhaps for hours: the store's time to come back
                         // begins here.
        }
        leave(error(errc::lost, "the place in line for " + from_.shown() + " was lost: " + why));
        return true;
    }
    case hold::phase::refused:
        refused();
        return true;
    case hold::phase::waiting:
        reachable();
        tell_waiting();
        break;
    default:
        break;
    }
    if (how_.stop.stop_requested()) {
        leave(error(errc::cancelled, "acquiring " + from_.shown() + " was cancelled"));
        return true;
    }
    if (from_.client().now() >= until_) {
        leave(error(errc::timed_out, from_.shown() + " was not free in time"));
        return true;
    }
    return false;
}

void acquisition::refused() {
    const error why = claim_->refusal();
    if (why.code() == errc::lost) {
        on_->doubt();
    }
    // Once in doubt, always: what a later attempt came to says nothing of the one without an answer.
    perhaps_in_line_ = perhaps_in_line_ || why.code() == errc::unknown_outcome;
    const bool may_come_back = why.code() == errc::unknown_outcome || why.code() == errc::unavailable;
    if (may_come_back && on_->alive() && try_again_after(why)) {
        return pause_before(state::in_line);
    }
    const error full(why.code(), "acquiring " + from_.shown() + ": " + why.message());
    if (perhaps_in_line_) {
        return leave(full);
    }
    claim_->give_up_session();
    settle(full);
}

void acquisition::tell_waiting() {
    const auto& events = from_.client().terms().events;
    if (events && !std::exchange(told_waiting_, true)) {
        events->tell({.what = event::kind::waiting, .store = {}, .name = from_.name().bytes(), .token = {}});
    }
}

/// The last checks before a grant becomes a handle: it must not be over already, and tokens must rise.
void acquisition::take() {
    if (claim_->valid_for() <= nanoseconds::zero()) {
        return leave(
            error(errc::lost, "the hold of " + from_.shown() + " had run out when its grant arrived"));
    }
    const std::uint64_t granted = claim_->token().value();
    if (granted <= highest_token_) {
        return leave(error(errc::misuse, "the token of " + from_.shown() + " went back from " +
                                             std::to_string(highest_token_) + " to " +
                                             std::to_string(granted) +
                                             ": the store was restored or replaced; restart its users"));
    }
    from_.record().note(granted);
    if (how_.tells && from_.client().terms().events) {
        claim_->acquired(from_.client().now() - started_);
        claim_->listen();
    }
    if (!hears_.expired()) {
        claim_->wakes({}); // As long as it referred to the operation, that would stay allocated.
    }
    finish(held(std::move(claim_)));
}

/// Takes the claim away again, whether it waits, holds, or only may.
void acquisition::leave(error why) {
    why_left_ = std::move(why);
    leave_by_ = claim_->begin_release();
    state_ = state::leaving;
}

/// Notes until when something of it may be left, if its removal is unsure.
void acquisition::left() {
    const auto removed = claim_->finish_release();
    claim_.reset();
    if (!removed && removed.error().ends_in()) {
        doubt_until_ = std::max(doubt_until_, from_.client().now() + *removed.error().ends_in());
        doubt_ = removed.error().code() == errc::lost
                     ? "its claim had run out, and may stand in line for a while where the store answers late"
                     : removed.error().message();
    }
    settle(std::move(*why_left_));
}

/// All begins anew after what may pass; else that is the outcome.
void acquisition::settle(error why) {
    if (try_again_after(why)) {
        return pause_before(state::beginning);
    }
    finish(std::move(why));
}

bool acquisition::try_again_after(const error& why) const {
    switch (why.code()) {
    case errc::lost:
    case errc::unavailable:
    case errc::unknown_outcome:
        return !how_.stop.stop_requested() && from_.client().now() + pause_ < std::min(give_up_, until_);
    default:
        return false;
    }
}

void acquisition::pause_before(state next) {
    pause_until_ = from_.client().now() + pause_;
    pause_ = std::min(2 * pause_, longest_pause);
    after_pause_ = next;
    state_ = state::pausing;
}

void acquisition::after_pause() {
    state_ = after_pause_;
    if (state_ == state::in_line) {
        claim_->begin_append(on_->now());
        if (const loss_reason why = on_->reason(); why != loss_reason::none) {
            claim_->lose(why); // The session ended during the pause, when the claim had no place to lose.
            return;
        }
        on_->engine().append(claim_, how_.only_if_free); // The same claim id: it finds what may stand there.
    }
}

/// A failure that leaves nothing behind, or says that it may.
void acquisition::finish(result<held> outcome) {
    if (!outcome) {
        const error& why = outcome.error();
        const nanoseconds doubtful = doubt_until_ - from_.client().now();
        if (doubtful > nanoseconds::zero()) {
            outcome = error(errc::unknown_outcome, why.message() + "; " + doubt_, doubtful);
        } else if (why.code() == errc::unknown_outcome) {
            // The store has confirmed the removal of what it did not confirm to have made.
            outcome = error(errc::unavailable, why.message() + "; nothing of it is left");
        }
    }
    outcome_ = std::move(outcome);
    claim_.reset();
    on_.reset();
    state_ = state::done;
}

instant acquisition::unreachable_limit(instant at) const {
    // With a limit of the caller's own, the store has until then; a try gets one operation's time.
    return how_.limit ? until_ : at + from_.client().terms().op_timeout;
}

} // namespace holdfast::core
