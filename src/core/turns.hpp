// Bounded hand-over among the threads of one process: a hold of the store's is lent from thread to thread
// without asking the store, for at most a bound that the caller chose; then whoever waits elsewhere has its
// turn.
//
// Off by default. Within a process the order is not first come, first served: a thread that runs may go
// before one that sleeps, which is where the speed comes from. At the store the process is one claim like any
// other. Thread-safe.
//
// Tokens: a store's token S becomes S * room, S * room + 1, ... for the threads it is lent to, so they rise
// from thread to thread and above all that an earlier turn of any process gave out.
//
// Where the store has a synchronous path nothing is lent: every thread takes a hold, and a token, of its own
// through that path, and the gate here only spares the line.
#pragma once

#include <deque>
#include <memory>

#include "acquisition.hpp"
#include "annotations.hpp"

namespace holdfast::core {

class turns : public std::enable_shared_from_this<turns> {
  public:
    /// The most threads a hold is lent to, and what a store's token is multiplied by.
    static constexpr std::uint64_t room = 4096;

    turns(std::chrono::nanoseconds bound, clock_source source) : bound_(bound), clock_(source) {}

    /// Exclusive access for one thread. As core::acquire.
    result<held> acquire(resource& from, const patience& how);

    /// The store's synchronous path, for who has been let in: giving its hold back opens the gate.
    std::shared_ptr<fast_path> gated(std::shared_ptr<fast_path> path);

  private:
    class turn;
    class gated_path;

    /// What a look at the gate came to.
    struct entrance {
        bool open = false;
        std::shared_ptr<turn> goes_on; ///< A turn to join.
        std::shared_ptr<turn> over;    ///< A turn to end before the next is asked for.
    };
    grip* pass(resource& from) noexcept;
    entrance look(parking_place& place, bool waits);
    void leave(parking_place& place);
    result<held> begin_turn(resource& from, patience how, instant started, instant until);
    void give_back(turn& mine);
    void end(const std::shared_ptr<turn>& over);
    void open_gate();
    void call_next() REQUIRES(guard_);

    const std::chrono::nanoseconds bound_;
    const clock_source clock_;
    latch guard_;
    bool taken_ GUARDED_BY(guard_) = false; ///< A thread of ours holds, or asks the store.
    std::shared_ptr<turn> standing_ GUARDED_BY(guard_);
    std::deque<parking_place*> waiting_ GUARDED_BY(guard_);
    /// Woken, and has not looked yet: one at a time, or every release would wake another.
    parking_place* called_ GUARDED_BY(guard_) = nullptr;
};

} // namespace holdfast::core
