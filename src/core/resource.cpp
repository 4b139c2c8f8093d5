#include "resource.hpp"

#include <array>

#include "turns.hpp"

namespace holdfast::core {

std::string resource::shown() const {
    return "'" + name_.bytes() + "' on " + client_->shown_url();
}

resource::~resource() {
    for (way* const each : {&exclusive_, &shared_}) {
        if (lane* const last = each->by.exchange(nullptr)) {
            retire(std::unique_ptr<lane>(last));
        }
    }
}

std::shared_ptr<fast_path> resource::fast(const std::shared_ptr<session>& on, std::uint32_t weight) {
    std::shared_ptr<fast_path> found;
    std::array<std::unique_ptr<lane>, 2> former; // Retired outside the lock: their session may end with them.
    {
        const latch_guard locked(guard_);
        way& asked = weight == lock_capacity ? exclusive_ : shared_;
        if (asked.on.lock() != on) {
            former = {std::unique_ptr<lane>(exclusive_.by.exchange(nullptr)),
                      std::unique_ptr<lane>(shared_.by.exchange(nullptr))};
        }
        if (asked.on.lock() == on && asked.weight == weight) {
            pave(asked, on);
        } else {
            asked.path =
                on->engine().fast({.name = name_, .id = {}, .weight = weight, .capacity = capacity_});
            if (asked.path && turns_ && weight == lock_capacity) {
                asked.path = turns_->gated(std::move(asked.path));
            }
            asked.on = on;
            asked.weight = weight;
        }
        // The engine shows more of a claim that was appended, so who shares comes this way only by a lane.
        found = weight == lock_capacity ? asked.path : nullptr;
    }
    for (auto& each : former) {
        if (each) {
            retire(std::move(each));
        }
    }
    return found;
}

/// A path that is asked for a second time is worth a lane. Events are told of core::hold only, and who waits
/// by a lane has nobody else to start threads.
void resource::pave(way& which, const std::shared_ptr<session>& on) {
    if (which.path && on->has_threads() && !client_->terms().events &&
        which.by.load(std::memory_order_relaxed) == nullptr) {
        auto made =
            make_lane(on, which.path,
                      {.name = name_, .id = {}, .weight = which.weight, .capacity = capacity_}, record_);
        which.by.store(made.release(), std::memory_order_release);
    }
}

} // namespace holdfast::core
