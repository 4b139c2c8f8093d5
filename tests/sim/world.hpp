// One run: processes, their clients and actors, and the faults that the plan has for them.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "checker.hpp"
#include "engine.hpp"
#include "network.hpp"
#include "plan.hpp"
#include "store.hpp"

namespace holdfast::sim {

class world {
  public:
    world(kernel& in, std::uint64_t seed, tally& count);

    /// The whole run, on the first thread of kernel::run.
    void run();

    // For actors.
    /// A simulated process with its clients.
    struct member {
        process* who = nullptr;
        std::stop_source dying; ///< Fires when it crashes, so that its ghost winds down.
        std::vector<locks> clients;
        std::vector<holdfast::mutex> turning; ///< Of each client, with local_hand_over.
    };
    kernel& on() noexcept { return kernel_; }
    checker& watcher() noexcept { return checker_; }
    const plan& scheme() const noexcept { return plan_; }
    dice chance() { return dice_.fork(); }
    static constexpr std::uint32_t permits = 3;

  private:
    void live(member& which);
    void add_client(member& which, const std::shared_ptr<checker::listener>& ear);
    void schedule_faults();
    void one_fault(true_time when);
    void crash(member& which);
    void watchdog();

    kernel& kernel_;
    tally& tally_;
    const plan plan_;
    dice dice_;
    network network_;
    engine engine_;
    checker checker_;
    backend backend_;
    std::vector<std::unique_ptr<member>> members_;
};

/// What the programs of one actor do, until the faults are over; then it takes every name once more.
void act(world& in, world::member& as, dice chance);

/// Runs one seed. Returns its violations.
struct outcome {
    std::vector<std::string> violations;
    std::uint64_t fingerprint = 0;
};
outcome run_seed(kernel& in, std::uint64_t seed, tally& count, const kernel::last_words& stuck);

/// The names that actors use.
inline constexpr std::array<const char*, 4> mutex_names{"m0", "m1", "rw", "s0"};
inline constexpr const char* turns_name = "lh";
inline constexpr const char* mixed_name = "k"; ///< Of several kinds: who comes second is refused.
inline constexpr const char* election_name = "el";

} // namespace holdfast::sim
