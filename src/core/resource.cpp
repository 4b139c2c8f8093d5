#include "resource.hpp"

#include "turns.hpp"

namespace holdfast::core {

std::string resource::shown() const {
    return "'" + name_.bytes() + "' on " + client_->shown_url();
}

std::shared_ptr<fast_path> resource::fast(const std::shared_ptr<session>& on, std::uint32_t weight) {
    const latch_guard locked(guard_);
    if (fast_weight_ != weight || fast_session_.lock() != on) {
        fast_ = on->engine().fast({.name = name_, .id = {}, .weight = weight, .capacity = capacity_});
        if (fast_ && turns_) {
            fast_ = turns_->gated(std::move(fast_));
        }
        fast_session_ = on;
        fast_weight_ = weight;
    }
    return fast_;
}

} // namespace holdfast::core
