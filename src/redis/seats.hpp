// Where threads sleep until a connection has something for them.
//
// A caller that blocks sleeps in the kernel on the very connection that will bring what it waits for: on the
// one for commands while a reply is due, on the one for messages while it stands in line. The kernel wakes
// one of those who sleep there, in the order in which they came (EPOLLEXCLUSIVE); lines are first come first
// served too, so that it is mostly the right one. Where it is not, that thread hands on what it has read by
// ringing the other's seat.
//
// Connections with nobody asleep on them are covered by the background thread, which looks after all that is
// due and not driven.
//
// expect(), settle(), look_after(), forget(), wants_to_send() and has_sent() belong inside the loop; the rest
// may be called from any thread.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include <holdfast/store.hpp>

#include "core/annotations.hpp"

namespace holdfast::redis {

/// What brings something: a node's connection for commands, the one for messages, and others, which are
/// always covered.
enum class channel : std::uint8_t { commands, messages, other };

/// A connection that can be received from.
class source {
  public:
    virtual ~source() = default;
    /// Open until forget().
    virtual int descriptor() const noexcept = 0;
    /// Inside: takes all that has come, if anything has.
    virtual void receive() = 0;
    /// Inside: goes on with what the kernel did not take before.
    virtual void send_rest() = 0;
};

class seats {
  public:
    struct seat;

    /// Throws std::system_error where the system has no descriptor left.
    seats();
    ~seats();
    seats(const seats&) = delete;
    seats& operator=(const seats&) = delete;

    /// A seat for the thread that waits for this place; null where none is left.
    seat* take(parking_place& of);
    /// Before each sleep: says on which channel. True if something is due now that nobody sleeps on: the
    /// background thread has to look after it.
    bool lie_down(seat& mine, channel on);
    /// Sleeps until the channel has something, the seat is rung, or the instant has passed; may return early.
    /// The number of the source that has something, or 0.
    std::uint64_t sleep(seat& mine, instant until);
    /// As lie_down().
    bool give_back(seat& mine);
    /// Wakes the thread that sleeps for this place, if it has a seat.
    void ring(parking_place& of);

    void expect(channel on) noexcept { of(on).expected.fetch_add(1, std::memory_order_relaxed); }
    void settle(channel on) noexcept { of(on).expected.fetch_sub(1, std::memory_order_relaxed); }
    void look_after(channel on, std::shared_ptr<source> which);
    void forget(const source& which);
    /// The background thread calls send_rest() whenever there is room, until has_sent().
    void wants_to_send(const source& which);
    void has_sent(const source& which);

    std::shared_ptr<source> find(std::uint64_t number);
    std::vector<std::shared_ptr<source>> all();

    /// Becomes readable when a connection that is covered, or wants to send, has something.
    int cover_descriptor() const noexcept { return cover_; }
    /// The numbers of those, at most a few at a time.
    std::vector<std::uint64_t> ready_to_cover() const;
    /// Covers what is due and has nobody asleep on it: all of that, or what has brought nothing since the
    /// last call. True if something of it is left.
    bool cover(bool at_once);

  private:
    static constexpr std::size_t most_seats = 16;

    struct connection_state {
        std::atomic<std::size_t> expected{0};
        std::atomic<std::uint64_t> looks{0}; ///< How often somebody woke up because of it.
        std::uint64_t looks_before = 0;      ///< At the last cover().
        std::size_t asleep = 0;
    };
    struct entry {
        std::shared_ptr<source> what;
        channel on;
        std::uint64_t number;
        bool covered = false;
        bool sends = false; ///< It is covered as long as it does.
    };

    connection_state& of(channel on) noexcept { return states_[static_cast<std::size_t>(on)]; }
    entry* entry_on(channel on) REQUIRES(guard_);
    entry* entry_of(const source& which) REQUIRES(guard_);
    bool uncovered(channel on) REQUIRES(guard_);
    bool anything_uncovered() REQUIRES(guard_) {
        return uncovered(channel::commands) || uncovered(channel::messages);
    }
    void listen(seat& mine, channel on) REQUIRES(guard_);
    void set_cover(entry& which, bool covered, bool sends) REQUIRES(guard_);

    const int cover_;
    core::latch guard_;
    std::vector<std::unique_ptr<seat>> seats_ GUARDED_BY(guard_);
    std::vector<entry> entries_ GUARDED_BY(guard_);
    std::uint64_t last_number_ GUARDED_BY(guard_) = 0;
    std::array<connection_state, 3> states_; ///< What is not atomic in it is guarded, too.
};

} // namespace holdfast::redis
