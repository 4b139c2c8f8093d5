#include "kept.hpp"

#include <algorithm>

namespace holdfast::core {

kept_holds::~kept_holds() {
    // Nobody else is here any more. In a forked child neither, and what the parent's threads kept is let go
    // as every inherited hold is.
    grip::visit([this](grip& each) {
        if (each.kept.in.load(std::memory_order_acquire) == this) {
            each.kept.in.store(nullptr, std::memory_order_relaxed);
            const held released(each);
        }
    });
}

kept_holds::crowd::crowd(const kept_holds& in, bool look_everywhere) noexcept NO_THREAD_SAFETY_ANALYSIS
    : in_(in) {
    in_.crowded_.store(true, std::memory_order_relaxed);
    if (in_.alone_.load(std::memory_order_acquire) != nullptr || look_everywhere) {
        in_.gather();
    }
}

kept_holds::crowd::~crowd() NO_THREAD_SAFETY_ANALYSIS {
    in_.crowded_.store(!in_.kept_.empty(), std::memory_order_release);
}

void kept_holds::gather() const {
    if (!heavy_barrier()) {
        return; // Who keeps a hold by himself can still give it back by himself.
    }
    grip::visit([this](grip& each) NO_THREAD_SAFETY_ANALYSIS {
        // In this order: who has left has said first that it is kept no more.
        if (each.kept.leaving.load(std::memory_order_acquire) ||
            each.kept.in.load(std::memory_order_acquire) != this) {
            return;
        }
        const auto later = std::find_if(kept_.begin(), kept_.end(),
                                        [&](const held& one) { return one.token() > each.token(); });
        kept_.insert(later, held(each));
        each.kept.in.store(nullptr, std::memory_order_relaxed);
    });
    const grip* const hint = alone_.load(std::memory_order_relaxed);
    if (hint != nullptr && hint->kept.in.load(std::memory_order_relaxed) != this) {
        alone_.store(nullptr, std::memory_order_relaxed);
    }
}

void kept_holds::keep(held taken) {
    const latch_guard locked(guard_);
    if (kept_.capacity() - kept_.size() < 2) {
        kept_.reserve(std::max<std::size_t>(4, 2 * kept_.capacity())); // Giving back must not need memory.
    }
    kept_.push_back(std::move(taken));
    crowded_.store(true, std::memory_order_relaxed);
}

void kept_holds::keep_beside_others() {
    const latch_guard locked(guard_);
    const crowd here(*this, true);
}

held kept_holds::give_back() noexcept {
    if (inherited()) {
        return {};
    }
    const latch_guard locked(guard_);
    const crowd here(*this, kept_.empty());
    if (kept_.empty()) {
        return {};
    }
    auto chosen = std::find_if(kept_.begin(), kept_.end(), [](const held& each) { return each.is_lost(); });
    if (chosen == kept_.end()) {
        chosen = kept_.begin();
    }
    held taken = std::move(*chosen);
    kept_.erase(chosen);
    return taken;
}

token kept_holds::latest() const {
    if (inherited()) {
        return {};
    }
    const grip* const one = alone_.load(std::memory_order_acquire);
    if (one != nullptr && one->is_of_this_thread() && !crowded_.load(std::memory_order_acquire) &&
        one->kept.in.load(std::memory_order_relaxed) == this) {
        return one->token(); // Only this thread writes there.
    }
    const latch_guard locked(guard_);
    const crowd here(*this);
    return kept_.empty() ? token() : kept_.back().token();
}

} // namespace holdfast::core
