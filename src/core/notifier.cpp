#include "notifier.hpp"

namespace holdfast::core {

void notifier::prepare() {
    const latch_guard locked(guard_);
    if (!thread_.joinable()) {
        thread_ = quiet_thread::start([state = state_] { run(state); });
    }
}

void notifier::fire(std::stop_source source) noexcept {
    {
        const latch_guard locked(state_->guard);
        state_->queue.push_back(std::move(source));
    }
    state_->place.notify();
}

void notifier::run(const std::shared_ptr<shared_state>& state) {
    for (;;) {
        std::vector<std::stop_source> batch;
        bool stopping = false;
        state->place.reset();
        {
            const latch_guard locked(state->guard);
            batch.swap(state->queue);
            stopping = state->stopping;
        }
        for (std::stop_source& source : batch) {
            source.request_stop();
        }
        if (batch.empty()) {
            if (stopping) {
                return;
            }
            state->place.wait_until(instant::max(), clock_source::monotonic);
        }
    }
}

notifier::~notifier() {
    {
        const latch_guard locked(state_->guard);
        state_->stopping = true;
    }
    state_->place.notify();
    const latch_guard locked(guard_);
    thread_.end();
}

} // namespace holdfast::core
