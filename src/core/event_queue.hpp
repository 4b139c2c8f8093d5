// The way of events from wherever they happen to the user's sink, on a thread of its own. Thread-safe; a push
// takes one short lock and never calls the sink.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include <holdfast/events.hpp>
#include <holdfast/store.hpp>

#include "annotations.hpp"
#include "quiet_thread.hpp"

namespace holdfast::core {

class event_queue {
  public:
    /// Starts the thread. May throw std::system_error.
    event_queue(event_sink sink, std::string store_url);
    ~event_queue();
    event_queue(const event_queue&) = delete;
    event_queue& operator=(const event_queue&) = delete;

    /// What the user's side holds: with the last of it the sink has been told all, and is called no more,
    /// although a session that is still being ended keeps the queue.
    static std::shared_ptr<event_queue> audience(const std::shared_ptr<event_queue>& of);
    /// Waits until the sink has been told all, unless it runs in the sink itself. Idempotent.
    void close() noexcept;

    /// Queues it, until it is closed; drops and counts it when too many wait, or when there is no memory for
    /// it.
    void tell(event what) noexcept;

    static constexpr std::size_t longest = 8192;

  private:
    struct shared_state {
        event_sink sink;
        latch guard;
        std::deque<event> queue GUARDED_BY(guard);
        std::uint64_t missed GUARDED_BY(guard) = 0;
        bool stopping GUARDED_BY(guard) = false;
        parking_place place;
    };
    static void run(const std::shared_ptr<shared_state>& state);

    const std::string store_url_;
    const std::uint64_t mark_;
    const std::shared_ptr<shared_state> state_ = std::make_shared<shared_state>();
    quiet_thread thread_;
};

} // namespace holdfast::core
