#include "event_queue.hpp"

#include <utility>

#include "fork.hpp"

namespace holdfast {

std::string_view to_string(event::kind what) noexcept {
    switch (what) {
    case event::kind::waiting:
        return "waiting";
    case event::kind::acquired:
        return "acquired";
    case event::kind::renewed:
        return "renewed";
    case event::kind::at_risk:
        return "at_risk";
    case event::kind::lost:
        return "lost";
    case event::kind::released:
        return "released";
    }
    return "unknown";
}

} // namespace holdfast

namespace holdfast::core {

event_queue::event_queue(event_sink sink, std::string store_url)
    : store_url_(std::move(store_url)), mark_(process_mark()) {
    state_->sink = std::move(sink);
    thread_ = quiet_thread::start([state = state_] { run(state); });
}

event_queue::~event_queue() {
    close();
}

std::shared_ptr<event_queue> event_queue::audience(const std::shared_ptr<event_queue>& of) {
    return {of.get(), [of](event_queue*) { of->close(); }};
}

void event_queue::close() noexcept {
    if (forked_since(mark_)) {
        static_cast<void>(new quiet_thread(std::move(thread_))); // The thread is the parent's.
        static_cast<void>(new std::shared_ptr<shared_state>(state_));
        return;
    }
    if (!thread_.joinable()) {
        return;
    }
    {
        const latch_guard locked(state_->guard);
        state_->stopping = true;
    }
    state_->place.notify();
    thread_.end();
}

void event_queue::tell(event what) noexcept {
    if (forked_since(mark_)) {
        return;
    }
    {
        const latch_guard locked(state_->guard);
        if (state_->stopping) {
            return;
        }
        if (state_->queue.size() >= longest) {
            ++state_->missed;
            return;
        }
        try {
            what.store = store_url_;
            what.missed = state_->missed;
            state_->queue.push_back(std::move(what));
            state_->missed = 0;
        } catch (const std::bad_alloc&) {
            ++state_->missed;
        }
    }
    state_->place.notify();
}

void event_queue::run(const std::shared_ptr<shared_state>& state) {
    for (;;) {
        std::optional<event> next;
        state->place.reset();
        {
            const latch_guard locked(state->guard);
            if (!state->queue.empty()) {
                next = std::move(state->queue.front());
                state->queue.pop_front();
            } else if (state->stopping) {
                break;
            }
        }
        if (!next) {
            state->place.wait_until(instant::max(), clock_source::monotonic);
            continue;
        }
        try {
            state->sink(*next);
        } catch (...) { // NOLINT(bugprone-empty-catch): as promised, nothing of the sink's stops us.
        }
    }
    state->sink = nullptr; // What it has captured ends with the audience.
}

} // namespace holdfast::core
