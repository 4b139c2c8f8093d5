#include "face.hpp"

namespace holdfast::core {

using std::chrono::nanoseconds;

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
