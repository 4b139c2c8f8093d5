// The thread on which a client's asynchronous operations go on: whatever has been woken, or whose time has
// come.
//
// One thread for any number of operations; it sleeps while none is ready. It is started at the first
// prepare(), and blocks all signals. Thread-safe. A task must not block for long, and keeps itself alive.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <holdfast/store.hpp>

#include "annotations.hpp"
#include "quiet_thread.hpp"

namespace holdfast::core {

class runner {
  public:
    class task {
      public:
        task() = default;
        virtual ~task() = default;
        task(const task&) = delete;
        task& operator=(const task&) = delete;

        /// Goes on. Returns when to be called again at the latest; instant::max(): only when ready() is
        /// called.
        virtual instant run() noexcept = 0;

      private:
        friend class runner;
        std::atomic<bool> queued_{false};
        // The runner's thread only.
        std::optional<std::multimap<instant, std::shared_ptr<task>>::iterator> timer_;
    };

    explicit runner(clock_source source) : state_(std::make_shared<shared_state>(source)) {}
    ~runner();
    runner(const runner&) = delete;
    runner& operator=(const runner&) = delete;

    /// Starts the thread if there is none yet, so that ready() never has to. May throw std::system_error.
    void prepare();

    /// Has the task run soon. After prepare().
    void ready(std::shared_ptr<task> one) noexcept;

  private:
    struct shared_state {
        explicit shared_state(clock_source source) : clock(source) {}
        const clock_source clock;
        latch guard;
        std::vector<std::shared_ptr<task>> queue GUARDED_BY(guard);
        bool stopping GUARDED_BY(guard) = false;
        parking_place place;
        // The thread's own.
        std::multimap<instant, std::shared_ptr<task>> timers;
    };
    static void run(const std::shared_ptr<shared_state>& state);
    static void run_one(shared_state& state, const std::shared_ptr<task>& one);

    latch guard_;
    quiet_thread thread_ GUARDED_BY(guard_);
    const std::shared_ptr<shared_state> state_;
};

} // namespace holdfast::core
