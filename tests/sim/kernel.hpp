// Virtual time and one thread at a time: the surroundings in which the simulator runs the core.
//
// Threads are real, but exactly one runs; the others sleep until they are handed the baton. It changes hands
// only where a thread waits or ends. Who goes next, and how late, is decided by the seed;
// when nobody can run, time jumps to the next event. Threads belong to processes, each with a clock of its
// own that runs up to 1 % too fast or too slow, and each can be paused as by SIGSTOP.
//
// Not thread-safe by itself: whoever has the baton may call it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/surroundings.hpp"

#include "dice.hpp"

namespace holdfast::sim {

/// Time since the beginning of the run, as a perfect clock shows it.
using true_time = std::chrono::nanoseconds;
inline constexpr true_time never = true_time::max();

/// One simulated process. Its threads see its clock, stop when it is paused, and are ghosts once it crashed.
struct process {
    std::string name;
    std::int64_t ppm = 0;              ///< How much faster its clock runs, in parts per million.
    std::chrono::nanoseconds offset{}; ///< What its clock shows at the beginning.
    bool paused = false;
    bool crashed = false;
    std::chrono::nanoseconds paused_for{}; ///< All pauses so far.

    instant local(true_time at) const noexcept;
    /// The first true instant at which its clock shows this; never for instant::max().
    true_time when(instant shown) const noexcept;
};

class kernel final : public core::surroundings {
  public:
    /// Ends the whole program with a report: the run can neither go on nor be unwound.
    using last_words = std::function<void(const std::string& violation)>;

    kernel();
    ~kernel() override;
    kernel(const kernel&) = delete;
    kernel& operator=(const kernel&) = delete;

    /// Runs `body` as the first thread of a new run. Returns when it has returned.
    void run(std::uint64_t seed, const std::function<void()>& body, last_words stuck);

    // Of the run in progress.
    true_time time() const noexcept { return time_; }
    process& add_process(process what);
    process& mine() noexcept;
    /// Starts a thread in a process.
    thread_number start_in(process& where, std::string name, std::function<void()> body);
    /// Calls `what` at that time, between two threads. It must not wait.
    void at(true_time when, std::function<void()> what);
    void sleep_until(true_time when) noexcept;
    void sleep_for(std::chrono::nanoseconds how_long) noexcept { sleep_until(time_ + how_long); }
    /// Perhaps another thread goes first. Only where the caller holds no latch of the core's.
    void yield() noexcept;
    /// Stops the process's threads where they are.
    void pause(process& whom, true_time until);
    /// Threads that have been started and have not ended, the caller's excepted.
    std::size_t threads_left() const noexcept { return alive_ - 1; }
    /// Drops what was still to come.
    void forget_events() noexcept { events_.clear(); }
    /// How often, in a thousand, yield() does.
    void yields(int permille) noexcept { yields_ = permille; }
    /// The last words, and the end of the program.
    [[noreturn]] void fail(const std::string& why) noexcept;
    /// Who waits where, for a report.
    std::string threads() const;
    /// A free number of the caller's, kept with its thread.
    std::uint64_t& tag() noexcept;
    /// The caller as another process for a moment, to read its clock.
    template <typename Look>
    auto as(process& whom, const Look& look) {
        const impersonation guard(*this, whom);
        return look();
    }

    /// What happened so far, in one number: the same for the same seed.
    std::uint64_t fingerprint() const noexcept { return fingerprint_; }
    std::uint64_t steps() const noexcept { return steps_; }

    /// A line of the history. Formats only when somebody listens.
    template <typename... Parts>
    void say(const Parts&... parts) {
        if (listener) {
            std::string line;
            (append_part(line, parts), ...);
            tell(line);
        }
    }
    std::function<void(const std::string& line)> listener;

    // core::surroundings
    instant now() noexcept override;
    void sleep(const void* place, instant until) noexcept override;
    void wake(const void* place) noexcept override;
    thread_number start(std::function<void()> body) override;
    void join(thread_number which) noexcept override;
    thread_number self() noexcept override;
    void random(std::span<std::uint8_t> out) noexcept override;

  private:
    struct worker;
    struct thread_record;
    struct event {
        true_time when;
        std::uint64_t number;
        std::function<void()> call;
        thread_record* wakes = nullptr; ///< Instead of a call.
        std::uint64_t sleep = 0;

        /// Its thread is awake already.
        bool stale() const noexcept;
        /// For a heap with the next event on top.
        friend bool operator<(const event& a, const event& b) noexcept {
            return a.when != b.when ? a.when > b.when : a.number > b.number;
        }
    };
    struct impersonation {
        impersonation(kernel& in, process& whom);
        ~impersonation();
        thread_record& me;
        process* before;
    };

    static void append_part(std::string& line, const std::string& part) { line += part; }
    static void append_part(std::string& line, const char* part) { line += part; }
    template <typename Number>
    static void append_part(std::string& line, Number part) {
        line += std::to_string(part);
    }
    void tell(const std::string& line);

    void push(event what);
    void block(const void* place, true_time until) noexcept;
    void make_runnable(thread_record& which) noexcept;
    thread_record& choose() noexcept;
    void run_due() noexcept;
    /// The next event that is due by then, if there is one.
    bool advance(true_time latest) noexcept;
    void switch_away(thread_record& from) noexcept;
    void work(worker& mine) noexcept;
    void finish(thread_record& which) noexcept;

    dice dice_{0};
    true_time time_{};
    std::uint64_t fingerprint_ = 0;
    std::uint64_t steps_ = 0;
    int yields_ = 0;
    std::uint64_t readings_ = 0; ///< Of the clock, since the last switch.
    std::uint64_t events_made_ = 0;
    std::size_t alive_ = 0;
    last_words stuck_;
    std::vector<std::unique_ptr<process>> processes_;
    std::vector<std::unique_ptr<thread_record>> threads_;
    std::unique_ptr<thread_record> nobody_; ///< Who runs the events.
    std::vector<thread_record*> runnable_;
    std::vector<event> events_; ///< A heap, the next one first.

    std::vector<std::unique_ptr<worker>> workers_;
    std::vector<worker*> idle_;
    std::atomic<bool> closing_{false};
};

/// The kernel that is installed; there is one per program.
kernel& the_kernel() noexcept;

} // namespace holdfast::sim
