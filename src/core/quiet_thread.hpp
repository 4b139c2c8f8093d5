// Threads of the library's own. They block every signal, so that handlers run on the program's threads only;
// but not those that a fault raises, whose handlers the kernel would not call at all.
#pragma once

#include <optional>
#include <thread>
#include <utility>

#include <pthread.h>
#include <signal.h>

#include "surroundings.hpp"

namespace holdfast::core {

/// What a thread of the library's own blocks.
inline sigset_t quiet_signals() noexcept {
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) {
        sigdelset(&all, fault);
    }
    return all;
}

/// Starts a thread with these signals blocked. Throws std::system_error when the system has no thread left.
template <typename Function>
std::thread start_quiet_thread(Function body) {
    const sigset_t all = quiet_signals();
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    // The mask is inherited; it must come back also when the thread cannot be made.
    struct restore {
        sigset_t& mask;
        ~restore() { pthread_sigmask(SIG_SETMASK, &mask, nullptr); }
    } const after{before};
    return std::thread(std::move(body));
}

/// Such a thread as core itself uses it: a simulator may run it instead. Used as std::thread is.
class quiet_thread {
  public:
    quiet_thread() noexcept = default;
    /// See start_quiet_thread.
    template <typename Function>
    static quiet_thread start(Function body) {
        quiet_thread made;
        if (surroundings* const sim = simulated()) {
            made.simulated_ = sim->start(std::move(body));
        } else {
            made.real_ = start_quiet_thread(std::move(body));
        }
        return made;
    }

    quiet_thread(quiet_thread&& other) noexcept
        : real_(std::move(other.real_)), simulated_(std::exchange(other.simulated_, {})) {}
    quiet_thread& operator=(quiet_thread&& other) noexcept {
        real_ = std::move(other.real_); // As of std::thread: the thread must have been joined or detached.
        simulated_ = std::exchange(other.simulated_, {});
        return *this;
    }
    ~quiet_thread() = default;

    bool joinable() const noexcept { return simulated_ || real_.joinable(); }
    /// Whether this is the calling thread.
    bool runs_here() const noexcept {
        return simulated_ ? simulated()->self() == *simulated_ : real_.get_id() == std::this_thread::get_id();
    }
    void join() {
        if (simulated_) {
            simulated()->join(*std::exchange(simulated_, {}));
        } else {
            real_.join();
        }
    }
    void detach() {
        if (simulated_) {
            simulated_.reset();
        } else {
            real_.detach();
        }
    }

    /// Joins a thread that owns all that it touches, or lets it go where it is the caller itself: what runs
    /// on it dropped the last reference to its owner. Nothing where it never started.
    void end() {
        if (!joinable()) {
            return;
        }
        if (runs_here()) {
            detach();
        } else {
            join();
        }
    }

  private:
    std::thread real_;
    std::optional<surroundings::thread_number> simulated_;
};

} // namespace holdfast::core
