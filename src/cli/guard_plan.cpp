#include "cli/guard_plan.hpp"

#include <algorithm>

namespace holdfast::cli {
namespace {

using std::chrono::nanoseconds;

/// How often what does not die is killed again.
constexpr nanoseconds kill_interval = std::chrono::milliseconds(10);

void keep_earlier(std::optional<instant>& target, instant candidate) {
    target = target ? std::min(*target, candidate) : candidate;
}

} // namespace

guard_plan::step guard_plan::at(instant now, instant deadline) {
    const instant last = deadline - limits_.margin;
    if (verdict_ != guard_verdict::lost) {
        if (limits_.mode == on_lost::warn) {
            if (now >= deadline) {
                verdict_ = guard_verdict::lost;
            }
        } else if (now >= (limits_.mode == on_lost::kill ? last : last - limits_.kill_after)) {
            end_by(guard_verdict::lost, limits_.mode == on_lost::kill ? last : now, last);
        }
    }
    if (verdict_ == guard_verdict::running && limits_.max_hold && now >= started_ + *limits_.max_hold) {
        end_by(guard_verdict::too_long, now, now + limits_.kill_after);
    }

    step next;
    next.kill = kill_at_ && now >= *kill_at_;
    if (terminate_at_ && !terminated_ && now >= *terminate_at_) {
        terminated_ = true;
        next.terminate = !next.kill; // Just before KILL it would only begin what it cannot end.
    }
    next.look_again = next.kill ? now + kill_interval : next_point(deadline);
    return next;
}

void guard_plan::hold_is_gone(instant now, instant deadline) {
    if (verdict_ == guard_verdict::lost) {
        return;
    }
    if (limits_.mode == on_lost::warn) {
        verdict_ = guard_verdict::lost;
        return;
    }
    const instant last = std::max(now, deadline - limits_.margin);
    const instant kill_at = limits_.mode == on_lost::kill ? now : std::min(now + limits_.kill_after, last);
    end_by(guard_verdict::lost, now, kill_at);
}

void guard_plan::keeper_is_gone(instant now, instant deadline) {
    if (limits_.mode == on_lost::warn || verdict_ == guard_verdict::lost) {
        return;
    }
    const instant last = std::max(now, deadline - limits_.margin);
    const bool gently = limits_.mode == on_lost::term && limits_.claim_outlives_keeper;
    end_by(guard_verdict::keeper_gone, now, gently ? std::min(now + limits_.kill_after, last) : now);
}

void guard_plan::command_left_others(instant now) {
    if (verdict_ == guard_verdict::running) {
        // They may be about to end by themselves, as the tee of a script's `exec > >(tee log)` is.
        end_by(guard_verdict::leftovers, now + limits_.kill_after, now + 2 * limits_.kill_after);
    }
}

void guard_plan::end_by(guard_verdict why, instant terminate_at, instant kill_at) {
    verdict_ = why;
    keep_earlier(terminate_at_, terminate_at);
    keep_earlier(kill_at_, kill_at);
}

std::optional<instant> guard_plan::next_point(instant deadline) const {
    std::optional<instant> next;
    if (verdict_ != guard_verdict::lost) {
        const instant last = deadline - limits_.margin;
        keep_earlier(next, limits_.mode == on_lost::warn   ? deadline
                           : limits_.mode == on_lost::kill ? last
                                                           : last - limits_.kill_after);
    }
    if (terminate_at_ && !terminated_) {
        keep_earlier(next, *terminate_at_);
    }
    if (kill_at_) {
        keep_earlier(next, *kill_at_);
    }
    if (verdict_ == guard_verdict::running && limits_.max_hold) {
        keep_earlier(next, started_ + *limits_.max_hold);
    }
    return next;
}

bool limits_fit(const guard_limits& limits, nanoseconds ttl) noexcept {
    return limits.margin >= nanoseconds::zero() && limits.kill_after >= nanoseconds::zero() &&
           limits.margin + limits.kill_after < ttl / 2;
}

} // namespace holdfast::cli
