#include "resource.hpp"

#include "turns.hpp"

namespace holdfast::core {

std::string resource::shown() const {
    return "'" + name_.bytes() + "' on " + client_->shown_url();
}

resource::~resource() {
    if (lane* const last = lane_.exchange(nullptr)) {
        retire(std::unique_ptr<lane>(last));
    }
}

std::shared_ptr<fast_path> resource::fast(const std::shared_ptr<session>& on, std::uint32_t weight) {
    std::shared_ptr<fast_path> found;
    std::unique_ptr<lane> former; // Retired outside the lock: its session may end with it.
    {
        const latch_guard locked(guard_);
        const bool same_session = fast_session_.lock() == on;
        if (!same_session) {
            former.reset(lane_.exchange(nullptr));
        }
        if (same_session && fast_weight_ == weight) {
            pave(on);
        } else {
            fast_ = on->engine().fast({.name = name_, .id = {}, .weight = weight, .capacity = capacity_});
            if (fast_ && turns_) {
                fast_ = turns_->gated(std::move(fast_));
            }
            fast_session_ = on;
            fast_weight_ = weight;
        }
        found = fast_;
    }
    if (former) {
        retire(std::move(former));
    }
    return found;
}

/// A path that is asked for a second time is worth a lane. Events are told of core::hold only, and who waits
/// by a lane has nobody else to start threads.
void resource::pave(const std::shared_ptr<session>& on) {
    if (fast_ && on->has_threads() && fast_weight_ == lock_capacity && !client_->terms().events &&
        lane_.load(std::memory_order_relaxed) == nullptr) {
        auto made = make_lane(
            on, fast_, {.name = name_, .id = {}, .weight = fast_weight_, .capacity = capacity_}, record_);
        lane_.store(made.release(), std::memory_order_release);
    }
}

} // namespace holdfast::core
