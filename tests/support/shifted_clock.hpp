#pragma once
// A wall clock that jumps, for servers that are started with its environment and for nobody else.
//
// Thread-safe. It must outlive the servers that were started with it.

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
    /// Right as yet. Throws std::system_error.
    shifted_clock();
    ~shifted_clock();
    shifted_clock(const shifted_clock&) = delete;
    shifted_clock& operator=(const shifted_clock&) = delete;

    /// For process_options::env.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> environment() const;
    /// From now on it is later by so much, or earlier, than it would have been.
    void jump(std::chrono::nanoseconds by) { *offset_ns_ += by.count(); }
    [[nodiscard]] std::chrono::nanoseconds offset() const { return std::chrono::nanoseconds(*offset_ns_); }

  private:
    temp_dir folder_{"holdfast-clock"};
    std::atomic<std::int64_t>* offset_ns_ = nullptr; ///< In the file, which they map as well.
};

} // namespace holdfast::testing
