#pragma once
// A clock that jumps, for processes that are started with its environment and for nobody else. Timers of the
// kernel go on as if nothing had happened. A process with a sanitizer cannot be started so.
//
// Thread-safe. It must outlive the processes that were started with it.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "support/temp_dir.hpp"

namespace holdfast::testing {

class shifted_clock {
  public:
    /// "monotonic", "boottime" or "wall"; right as yet. Throws std::system_error.
    explicit shifted_clock(std::string which = "wall");
    ~shifted_clock();
    shifted_clock(const shifted_clock&) = delete;
    shifted_clock& operator=(const shifted_clock&) = delete;

    /// For process_options::env.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> environment() const;
    /// From now on it is later by so much, or earlier, than it would have been.
    void jump(std::chrono::nanoseconds by) { *offset_ns_ += by.count(); }
    [[nodiscard]] std::chrono::nanoseconds offset() const { return std::chrono::nanoseconds(*offset_ns_); }

  private:
    const std::string which_;
    temp_dir folder_{"holdfast-clock"};
    std::atomic<std::int64_t>* offset_ns_ = nullptr; ///< In the file, which they map as well.
};

} // namespace holdfast::testing
