// Connects and acquires beside the main thread, which goes on serving signals.
//
// A free local lock is taken on the calling thread at once: no thread is made for it. Used by one thread;
// cancel() may be called at any time.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include <holdfast/holdfast.hpp>

#include "cli/unique_fd.hpp"

namespace holdfast::cli {

struct acquisition_request {
    std::string url;
    options how;
    std::string name;
    std::optional<std::uint32_t> slots;  ///< Nothing: the lock.
    bool shared = false;                 ///< The lock beside other shared ones.
    std::optional<std::string> proposal; ///< Campaigns with it.
    bool nonblock = false;
    std::optional<std::chrono::nanoseconds> wait; ///< From the construction on.
    const char* held_by_ancestors = nullptr;
};

class acquisition {
  public:
    /// Begins. Throws std::system_error when no thread or descriptor can be had.
    explicit acquisition(acquisition_request request);
    /// Cancels and waits for the end.
    ~acquisition();
    acquisition(const acquisition&) = delete;
    acquisition& operator=(const acquisition&) = delete;

    /// Readable once finished.
    int fd() const noexcept { return finished_fd_.get(); }
    bool finished() const;
    void cancel() { stop_.request_stop(); }

    /// Once connected, from any thread.
    std::optional<locks> store() const;
    /// After the end, once.
    result<held> take();

  private:
    using clock = std::chrono::steady_clock;

    result<locks> reach();
    bool connect();
    void acquire();
    result<held> try_once();
    result<held> wait_in_line();
    void finish(result<held> outcome);

    acquisition_request request_;
    clock::time_point started_ = clock::now();
    unique_fd finished_fd_;
    std::stop_source stop_;
    mutable std::mutex mutex_;
    std::optional<locks> store_;          ///< Guarded by mutex_.
    std::optional<result<held>> outcome_; ///< Guarded by mutex_.
    std::thread worker_;
};

} // namespace holdfast::cli
