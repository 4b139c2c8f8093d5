#include "alarm.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "surroundings.hpp"

namespace holdfast::core {

using std::chrono::nanoseconds;

namespace {

timespec to_timespec(nanoseconds value) noexcept {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(value);
    return {.tv_sec = static_cast<time_t>(seconds.count()),
            .tv_nsec = static_cast<long>((value - seconds).count())};
}

} // namespace

alarm_clock::alarm_clock(clock_source source) : source_(source) {
    if (simulated() != nullptr) {
        return;
    }
    const int clock = source == clock_source::boottime ? CLOCK_BOOTTIME : CLOCK_MONOTONIC;
    ring_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    timer_fd_ = timerfd_create(clock, TFD_CLOEXEC | TFD_NONBLOCK);
    if (ring_fd_ < 0 || timer_fd_ < 0) {
        const int why = errno;
        if (ring_fd_ >= 0) {
            ::close(ring_fd_);
        }
        throw std::system_error(why, std::generic_category(), "no file descriptor for the lease timer");
    }
}

alarm_clock::~alarm_clock() {
    for (const int fd : {ring_fd_, timer_fd_}) {
        if (fd >= 0) {
            ::close(fd);
        }
    }
}

bool alarm_clock::wait_until(instant until, int descriptor) noexcept {
    if (simulated() != nullptr) {
        simulated_.wait_until(until, source_);
        simulated_.reset();
        return false;
    }
    // Zero would disarm the timer: an instant that has just passed must wake us at once.
    const nanoseconds wake_at = std::max(until.time_since_epoch(), nanoseconds(1));
    const itimerspec setting{.it_interval = {}, .it_value = to_timespec(wake_at)};
    timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &setting, nullptr);
    std::array<pollfd, 3> wait{pollfd{timer_fd_, POLLIN, 0}, pollfd{ring_fd_, POLLIN, 0},
                               pollfd{descriptor, POLLIN, 0}}; // poll() passes over -1.
    if (poll(wait.data(), wait.size(), -1) <= 0) {
        return false;
    }
    if ((wait[1].revents & POLLIN) != 0) {
        eventfd_t rings = 0;
        eventfd_read(ring_fd_, &rings);
    }
    return wait[2].revents != 0;
}

void alarm_clock::ring() noexcept {
    if (simulated() != nullptr) {
        simulated_.notify();
    } else {
        eventfd_write(ring_fd_, 1);
    }
}

} // namespace holdfast::core
