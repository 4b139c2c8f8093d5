// What core takes from the machine it runs on: the time, sleep, threads and chance. The real thing, unless a
// simulator has put itself in its place, as tests/sim does to run the same code on virtual time.
//
// Everything in core that reads a clock, sleeps, starts or joins a thread, or draws random bytes asks here
// first: clock.cpp, alarm.cpp, quiet_thread.hpp, identity.cpp. It costs the real thing one relaxed load. Not
// meant for programs: nothing of it is in a public header.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>

#include <holdfast/store.hpp>

namespace holdfast::core {

class surroundings {
  public:
    using thread_number = std::uint64_t;

    virtual ~surroundings() = default;

    /// The calling thread's clock.
    virtual instant now() noexcept = 0;
    /// Blocks the caller until wake(place) or the instant on its clock; may return early.
    virtual void sleep(const void* place, instant until) noexcept = 0;
    /// Wakes whoever sleeps at this place. Returns at once: no other thread runs in between.
    virtual void wake(const void* place) noexcept = 0;

    /// Starts a thread, and waits for its end.
    virtual thread_number start(std::function<void()> body) = 0;
    virtual void join(thread_number which) noexcept = 0;
    /// The calling thread.
    virtual thread_number self() noexcept = 0;

    virtual void random(std::span<std::uint8_t> out) noexcept = 0;
};

/// Null in real life. Changed only while nothing of Holdfast runs.
inline std::atomic<surroundings*> simulator{nullptr};

/// The simulator, or null.
inline surroundings* simulated() noexcept {
    return simulator.load(std::memory_order_relaxed);
}

} // namespace holdfast::core
