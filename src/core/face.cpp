#include "face.hpp"

#include <algorithm>

namespace holdfast::core {

using std::chrono::nanoseconds;

kept_holds::~kept_holds() {
    if (grip* const last = alone_.load()) {
        const held released(*last);
    }
}

void kept_holds::keep(held taken) {
    const latch_guard locked(guard_);
    if (kept_.capacity() - kept_.size() < 2) {
        kept_.reserve(std::max<std::size_t>(4, 2 * kept_.capacity())); // Giving back must not need memory.
    }
    kept_.push_back(std::move(taken));
    others_.store(kept_.size());
}

void kept_holds::put_with_others() const {
    if (grip* const one = alone_.exchange(nullptr)) {
        const auto later = std::find_if(kept_.begin(), kept_.end(),
                                        [one](const held& each) { return each.token() > one->token(); });
        kept_.insert(later, held(*one));
        others_.store(kept_.size());
    }
}

held kept_holds::give_back() noexcept {
    if (inherited()) {
        return {};
    }
    const latch_guard locked(guard_);
    put_with_others();
    if (kept_.empty()) {
        return {};
    }
    auto chosen = std::find_if(kept_.begin(), kept_.end(), [](const held& each) { return each.is_lost(); });
    if (chosen == kept_.end()) {
        chosen = kept_.begin();
    }
    held taken = std::move(*chosen);
    kept_.erase(chosen);
    others_.store(kept_.size());
    return taken;
}

token kept_holds::latest() const {
    if (inherited()) {
        return {};
    }
    const latch_guard locked(guard_);
    put_with_others();
    return kept_.empty() ? token() : kept_.back().token();
}

patience no_patience() {
    return {.only_if_free = true, .limit = {}, .stop = {}};
}

patience patience_of(std::stop_token stop) {
    return {.only_if_free = false, .limit = {}, .stop = std::move(stop)};
}

patience patience_of(nanoseconds limit, std::stop_token stop) {
    if (limit <= nanoseconds::zero()) {
        return {.only_if_free = true, .limit = {}, .stop = std::move(stop)};
    }
    return {.only_if_free = false, .limit = limit, .stop = std::move(stop)};
}

result<held> acquire_within(resource& from, std::uint32_t weight, nanoseconds limit, std::stop_token stop) {
    auto outcome = acquire(from, weight, patience_of(limit, std::move(stop)));
    if (!outcome && outcome.error().code() == errc::busy) {
        return error(errc::timed_out, outcome.error().message());
    }
    return outcome;
}

bool keep_or_throw(kept_holds& in, result<held> outcome) {
    if (outcome) {
        in.keep(std::move(*outcome));
        return true;
    }
    const errc code = outcome.error().code();
    if (code != errc::busy && code != errc::timed_out) {
        outcome.error().raise();
    }
    return false;
}

} // namespace holdfast::core

namespace holdfast {

using std::chrono::nanoseconds;

nanoseconds current_hold::valid_for() const noexcept {
    if (!of_ || among_->inherited()) {
        return nanoseconds::zero();
    }
    return among_->with(token_, [](const held& mine) { return mine.valid_for(); });
}

loss_reason current_hold::reason() const noexcept {
    if (!of_) {
        return loss_reason::none;
    }
    if (among_->inherited()) {
        return loss_reason::forked;
    }
    return among_->with(token_, [](const held& mine) { return mine.reason(); });
}

std::stop_token current_hold::lost() const {
    if (!of_) {
        return {};
    }
    if (among_->inherited()) {
        return core::fired_token();
    }
    return among_->with(token_, [](const held& mine) { return mine.lost(); });
}

} // namespace holdfast
