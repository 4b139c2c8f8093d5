// Who does the I/O: leader and followers.
//
// A hop to an I/O thread costs more than a round trip to Redis, so a caller that blocks does the I/O itself.
// One thread at a time leads: it runs the io_context, and with it every handler, timer and order of this
// store. All that runs there therefore needs no lock. Other blocking callers follow: they sleep until their
// own claim is decided, or until a leader that has what it came for passes the lead on. A background thread
// leads when something waits for I/O and no blocking caller does; with nothing to wait for it sleeps without
// any timer.
//
// submit(), drive(), wake() and interrupt() may be called from any thread; the rest only from inside (from an
// order, a handler or a timer).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include <holdfast/store.hpp>

#include "core/annotations.hpp"

namespace boost::asio {
class io_context;
}

namespace holdfast::redis {

class loop : public std::enable_shared_from_this<loop> {
  public:
    static std::shared_ptr<loop> start();
    ~loop();
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;

    /// Ends the background thread. Nobody may drive afterwards.
    void stop();

    /// Until when to drive for what ends at give_up: a little longer, as the machine may be late. For ever is
    /// for ever.
    static constexpr instant with_grace(instant give_up) noexcept {
        constexpr std::chrono::milliseconds grace(100);
        return give_up > instant::max() - grace ? instant::max() : give_up + grace;
    }

    /// Has the order run inside, in the order of submission, once somebody leads.
    void submit(std::function<void()> order);

    /// Leads or follows until the place is notified or the instant has passed.
    void drive(parking_place& place, instant until);

    /// Makes a follower look at its place, which has been notified. The leader looks by itself after every
    /// step.
    void wake(parking_place& place);

    /// The same for a place that was notified from outside, where its thread may lead and sleep in the
    /// kernel.
    void interrupt(parking_place& place);

    boost::asio::io_context& context() noexcept { return *context_; }

    /// Inside: runs the function at that instant, or later if nobody leads then. The timer names it until it
    /// runs.
    using timer = std::multimap<instant, std::function<void()>>::iterator;
    timer call_at(instant when, std::function<void()> what) { return timers_.emplace(when, std::move(what)); }
    void cancel(timer which) { timers_.erase(which); }

    /// Inside: something more (or less) waits for I/O, so that somebody has to lead.
    void expect() noexcept { ++expected_; }
    void settle() noexcept { --expected_; }

    /// Inside, once: what to do before the leader sleeps, namely to send what has been written.
    void before_sleep(std::function<void()> flush) { flush_ = std::move(flush); }

  private:
    struct follower {
        parking_place&
            place;           ///< What its caller waits for; only the store's events and interrupt() touch it.
        parking_place sleep; ///< Where it sleeps.
        bool promoted = false;
    };

    loop();
    void lead(parking_place* place, instant until);
    void pass_on();
    void run_orders();
    void run_timers(instant at);
    void poke();
    void background();

    const std::unique_ptr<boost::asio::io_context> context_;

    core::latch guard_;
    bool led_ GUARDED_BY(guard_) = false;
    bool poked_ GUARDED_BY(guard_) = false;
    bool stopping_ GUARDED_BY(guard_) = false;
    bool abandoned_ GUARDED_BY(guard_) = false;  ///< The last leader left while something waited for I/O.
    std::uint64_t turns_ GUARDED_BY(guard_) = 0; ///< How often somebody led.
    parking_place* leading_for_ GUARDED_BY(guard_) = nullptr;
    std::vector<follower*> followers_ GUARDED_BY(guard_);
    std::vector<std::function<void()>> orders_ GUARDED_BY(guard_);

    // Touched by the leader only; the lead changes hands under guard_.
    std::vector<std::function<void()>> running_orders_;
    std::multimap<instant, std::function<void()>> timers_;
    std::function<void()> flush_;
    std::size_t expected_ = 0;
    instant last_turn_{};

    parking_place asked_; ///< Where the background thread sleeps while there is nothing to do.
    parking_place tick_;  ///< Where it sleeps while a caller may still be on its way to lead.
    std::thread thread_;
};

} // namespace holdfast::redis
