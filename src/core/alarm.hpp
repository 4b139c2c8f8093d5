// Waiting for an instant on a store's clock, or for somebody to ring: a timer of the kernel that also counts
// the time in suspend, which no futex does.
//
// One thread waits, any thread rings. A ring that nobody waited for ends the next wait.
#pragma once

#include <holdfast/store.hpp>

namespace holdfast::core {

class alarm_clock {
  public:
    /// Throws std::system_error when there is no file descriptor left.
    explicit alarm_clock(clock_source source);
    ~alarm_clock();
    alarm_clock(const alarm_clock&) = delete;
    alarm_clock& operator=(const alarm_clock&) = delete;

    /// Sleeps until the instant has passed or somebody rings; may return early. true: this descriptor, if
    /// there is one, can be read.
    bool wait_until(instant until, int descriptor = -1) noexcept;
    void ring() noexcept;

  private:
    const clock_source source_;
    int timer_fd_ = -1;
    int ring_fd_ = -1;
    parking_place simulated_; ///< Instead of the two, see surroundings.hpp.
};

} // namespace holdfast::core
