#include "followed.hpp"

#include <vector>

#include "line.hpp"

namespace holdfast::local {

void followed_holds::add(std::uint32_t record, std::uint64_t sequence,
                         const std::shared_ptr<claim_events>& entry, const std::shared_ptr<count>& of_path) {
    const key which{record, sequence};
    bool open = false;
    {
        const core::latch_guard locked(guard_);
        open = !closed_;
        if (open && holds_.insert_or_assign(which, follower{entry, of_path}).second) {
            of_path->fetch_add(1, std::memory_order_relaxed);
        }
    }
    if (!open) {
        entry->on_lost(loss_reason::expired);
        return;
    }
    // Whoever took it away before it was listed may have rung before, too.
    tell_if_gone(which);
}

void followed_holds::forget(std::uint32_t record, std::uint64_t sequence) noexcept {
    static_cast<void>(take({record, sequence}));
}

followed_holds::follower followed_holds::take(const key& which) {
    const core::latch_guard locked(guard_);
    auto node = holds_.extract(which);
    if (node.empty()) {
        return {};
    }
    if (const auto path = node.mapped().of_path.lock()) {
        path->fetch_sub(1, std::memory_order_relaxed);
    }
    return std::move(node.mapped());
}

loss_reason followed_holds::fate_of(const key& which) const {
    thread_local line now;
    const bool sound = read_line(seat_->memory(), which.first, now);
    // After the line: whoever is taken out of it as expired has been marked so before.
    if (!seat_->alive()) {
        return seat_->why_gone();
    }
    if (!sound) {
        return loss_reason::replaced;
    }
    return now.shows_hold(seat_->slot_index(), which.second) ? loss_reason::none : loss_reason::broken;
}

void followed_holds::tell_if_gone(const key& which) {
    const loss_reason why = fate_of(which);
    if (why == loss_reason::none) {
        return;
    }
    // A release takes it out of here before it touches the line: what is still here was not released.
    if (const auto entry = take(which).entry.lock()) {
        entry->on_lost(why);
    }
}

void followed_holds::look() {
    std::vector<key> all;
    {
        const core::latch_guard locked(guard_);
        all.reserve(holds_.size());
        for (const auto& [which, each] : holds_) {
            all.push_back(which);
        }
    }
    for (const key& which : all) {
        tell_if_gone(which);
    }
}

void followed_holds::close() noexcept {
    const core::latch_guard locked(guard_);
    closed_ = true;
    for (const auto& [which, each] : holds_) {
        if (const auto path = each.of_path.lock()) {
            path->fetch_sub(1, std::memory_order_relaxed);
        }
    }
    holds_.clear();
}

} // namespace holdfast::local
