// Tells somebody at a terminal, after a second of waiting, who holds.
//
// Asks the store on a thread of its own, so that signals go on being served. Used by one thread.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include "cli/acquisition.hpp"

namespace holdfast::cli {

class waiting_notice {
  public:
    waiting_notice(std::string name, bool wanted) : name_(std::move(name)), wanted_(wanted) {}
    ~waiting_notice();
    waiting_notice(const waiting_notice&) = delete;
    waiting_notice& operator=(const waiting_notice&) = delete;

    /// How long until it is due; nothing when it is not wanted or was shown.
    std::optional<std::chrono::nanoseconds> due_in() const;
    void show_if_due(const acquisition& attempt);
    /// Nothing is said any more; an answer that is still to come is not waited for before the destructor.
    void is_over() noexcept { over_ = true; }

  private:
    using clock = std::chrono::steady_clock;

    std::string name_;
    bool wanted_;
    std::atomic<bool> over_ = false;
    clock::time_point due_ = clock::now() + std::chrono::seconds(1);
    std::thread asking_;
};

/// The sentence: who holds the name and since when, as far as the store can say.
std::string describe_holders(const std::string& name, const resource_status* status,
                             std::chrono::system_clock::time_point now);

} // namespace holdfast::cli
