// The way between simulated processes and the engine, and what happens on it: messages are lost, late,
// repeated, and overtake each other; links break and come back.
//
// Called with the baton only.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "faults.hpp"
#include "kernel.hpp"

namespace holdfast::sim {

/// How unreliable the network is, in messages of a thousand, until it heals.
struct weather {
    int lost = 0;
    int late = 0;
    int repeated = 0;
    std::chrono::nanoseconds slowest = std::chrono::milliseconds(2); ///< Of an ordinary message.
    std::chrono::nanoseconds latest = std::chrono::seconds(2);       ///< Of a late one.
};

class network;

/// One client's connection.
class link {
  public:
    using message = std::function<void()>;

    link(network& over, process& whose) : over_(over), whose_(whose) {}

    process& whose() noexcept { return whose_; }
    bool up() const noexcept { return up_ && !whose_.crashed; }
    /// Runs `at_engine` there, some time or never. False when it was certainly not sent.
    bool send(message at_engine);
    /// Runs `at_client` on the client's network thread, some time or never.
    void reply(message at_client);
    /// The same without a network in between: a timer of the client's own.
    void local(true_time when, message at_client);

    /// The client's network thread: runs what arrives until stop().
    void serve();
    void stop();

    void break_until(true_time when);
    /// Called on the network thread after each reconnect.
    std::function<void()> reconnected;

  private:
    friend class network;
    struct parcel {
        std::uint64_t connection; ///< 0: of our own.
        message what;
    };
    void deliver(parcel what);

    network& over_;
    process& whose_;
    bool up_ = true;
    bool stopping_ = false;
    std::uint64_t connection_ = 1; ///< What was sent on an earlier one does not arrive any more.
    std::deque<parcel> inbox_;
    std::uint64_t sent_ = 0;
    std::uint64_t arrived_ = 0;
    std::weak_ptr<link> self_;
};

class network {
  public:
    network(kernel& in, dice chance, weather how, tally& count)
        : kernel_(in), dice_(chance), weather_(how), tally_(count) {}

    std::shared_ptr<link> connect(process& whose);
    const std::vector<std::weak_ptr<link>>& links() const noexcept { return links_; }
    /// No message that is sent from now on has a mishap.
    void heal() noexcept { weather_.lost = weather_.late = weather_.repeated = 0; }
    /// Everything that is under way gets lost, as when a server restarts.
    void drop_all() noexcept { ++era_; }

  private:
    friend class link;
    true_time arrival(fault late);

    kernel& kernel_;
    dice dice_;
    weather weather_;
    tally& tally_;
    std::uint64_t era_ = 0;
    std::vector<std::weak_ptr<link>> links_;
};

} // namespace holdfast::sim
