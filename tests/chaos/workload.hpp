// Clients that take turns while a store is broken under them, and write down what they saw.
//
// Each URL is a client of its own: a session, and threads that use a mutex, a shared mutex and a semaphore,
// all clients the same three names. They speak the public API only. Whoever fails with what a store out of
// reach may come to tries again; every other outcome is a broken promise.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <holdfast/holdfast.hpp>

#include "history.hpp"

#include "sim/dice.hpp"

namespace holdfast::chaos {

struct work_plan {
    std::vector<std::string> urls; ///< One client each.
    std::string stem;              ///< What the three names begin with.
    std::chrono::nanoseconds ttl = std::chrono::seconds(2);
    std::uint64_t seed = 1;
};

/// What became of the turns so far.
struct tally {
    std::uint64_t turns = 0;   ///< Holds.
    std::uint64_t lost = 0;    ///< Holds that ended before their release.
    std::uint64_t failed = 0;  ///< Acquires that came to unavailable or lost.
    std::uint64_t unknown = 0; ///< Acquires that came to unknown_outcome.
    std::uint64_t unauthorized = 0;
};

class workload {
  public:
    /// Connects and begins. Throws std::system_error where a client cannot connect.
    explicit workload(work_plan plan);
    /// Ends it, as finish() does.
    ~workload();
    workload(const workload&) = delete;
    workload& operator=(const workload&) = delete;

    /// From now on this client lets go of nothing that it holds, until it loses it or another call; nobody:
    /// all let go. So a fault that lasts longer than the TTL meets a holder.
    void cling(std::optional<std::size_t> client);
    /// Holds of which somebody else may dispose from now on: see turn::overlap.
    void allow_overlap(std::chrono::nanoseconds most) { overlap_ns_ = most.count(); }
    /// The client that clings holds the mutex.
    [[nodiscard]] bool clings() const;
    /// True once every thread was granted a hold after this instant.
    [[nodiscard]] bool all_served_since(instant since) const;
    /// The same for one client's.
    [[nodiscard]] bool client_served_since(std::size_t client, instant since) const;
    /// The threads that were not, and what each does, for people.
    [[nodiscard]] std::string unserved_since(instant since) const;
    [[nodiscard]] tally so_far() const;
    /// Ends all threads, releases everything and closes the sessions.
    void finish();
    /// The promises that were broken.
    [[nodiscard]] std::vector<std::string> broken() const;

  private:
    enum class kind { exclusive, shared, permits };
    struct worker;

    void work(worker& self, const locks& on, const std::stop_token& stop);
    result<held> acquire(worker& self, const locks& on, kind what, std::uint32_t weight,
                         const std::stop_token& stop) const;
    void take_turn(worker& self, kind what, held mine, instant called, std::uint32_t weight);
    void failed(worker& self, const error& why);
    void complain(const std::string& text);
    [[nodiscard]] std::string name_of(kind what) const;

    const work_plan plan_;
    std::stop_source stop_;
    std::atomic<bool> finished_{false};
    std::atomic<std::size_t> clinging_;
    std::atomic<std::int64_t> overlap_ns_{0};
    std::vector<std::unique_ptr<worker>> workers_;

    mutable std::mutex mutex_; // Guards what follows.
    std::vector<turn> of_mutex_;
    std::vector<turn> of_readers_and_writers_;
    std::vector<turn> of_permits_;
    std::vector<std::string> complaints_;
    tally tally_;

    std::vector<std::jthread> threads_; // Last: they use all of the above.
};

} // namespace holdfast::chaos
