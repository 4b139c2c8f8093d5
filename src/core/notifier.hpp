// The thread on which users hear of a loss: it fires stop_sources one after another, so that a slow callback
// delays neither the timers nor the store. Thread-safe. The thread is started at the first prepare(), and
// blocks all signals.
#pragma once

#include <memory>
#include <stop_token>
#include <vector>

#include <holdfast/store.hpp>

#include "annotations.hpp"
#include "quiet_thread.hpp"

namespace holdfast::core {

/// A token that has fired.
inline std::stop_token fired_token() {
    std::stop_source fired;
    fired.request_stop();
    return fired.get_token();
}

class notifier {
  public:
    notifier() = default;
    ~notifier();
    notifier(const notifier&) = delete;
    notifier& operator=(const notifier&) = delete;

    /// Starts the thread if there is none yet, so that fire() never has to. May throw std::system_error.
    void prepare();

    /// Queues request_stop() for the thread. After prepare().
    void fire(std::stop_source source) noexcept;

  private:
    struct shared_state {
        latch guard;
        std::vector<std::stop_source> queue GUARDED_BY(guard);
        bool stopping GUARDED_BY(guard) = false;
        parking_place place;
    };
    static void run(const std::shared_ptr<shared_state>& state);

    latch guard_;
    quiet_thread thread_ GUARDED_BY(guard_);
    const std::shared_ptr<shared_state> state_ = std::make_shared<shared_state>();
};

} // namespace holdfast::core
