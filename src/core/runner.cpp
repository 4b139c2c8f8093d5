#include "runner.hpp"

namespace holdfast::core {

void runner::prepare() {
    const latch_guard locked(guard_);
    if (!thread_.joinable()) {
        thread_ = quiet_thread::start([state = state_] { run(state); });
    }
}

void runner::ready(std::shared_ptr<task> one) noexcept {
    if (one->queued_.exchange(true)) {
        return;
    }
    {
        const latch_guard locked(state_->guard);
        state_->queue.push_back(std::move(one));
    }
    state_->place.notify();
}

void runner::run(const std::shared_ptr<shared_state>& state) {
    for (;;) {
        std::vector<std::shared_ptr<task>> batch;
        bool stopping = false;
        state->place.reset();
        {
            const latch_guard locked(state->guard);
            batch.swap(state->queue);
            stopping = state->stopping;
        }
        for (const auto& one : batch) {
            one->queued_.store(false); // Before it runs: what happens from now on is another reason to run.
            run_one(*state, one);
        }
        // In every round: tasks that keep waking one another must not keep the others' time from coming.
        const instant at = now(state->clock);
        while (!state->timers.empty() && state->timers.begin()->first <= at) {
            run_one(*state, std::shared_ptr<task>(state->timers.begin()->second));
        }
        if (!batch.empty()) {
            continue;
        }
        if (stopping) {
            return;
        }
        state->place.wait_until(state->timers.empty() ? instant::max() : state->timers.begin()->first,
                                state->clock);
    }
}

void runner::run_one(shared_state& state, const std::shared_ptr<task>& one) {
    if (one->timer_) {
        state.timers.erase(*one->timer_);
        one->timer_.reset();
    }
    if (const instant next = one->run(); next != instant::max()) {
        one->timer_ = state.timers.emplace(next, one);
    }
}

runner::~runner() {
    {
        const latch_guard locked(state_->guard);
        state_->stopping = true;
    }
    state_->place.notify();
    const latch_guard locked(guard_);
    thread_.end();
}

} // namespace holdfast::core
