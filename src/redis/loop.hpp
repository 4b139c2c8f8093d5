// Who does the I/O: whoever is awake.
//
// A hop to an I/O thread costs more than a round trip to Redis, so a caller that blocks does the I/O itself.
// One thread at a time is *inside*: it runs orders, handlers and timers, receives what has come, and then
// sends what they have written. All that happens inside therefore needs no lock. Nobody sleeps inside: who
// waits for a connection has a seat (seats.hpp), and goes inside when something has come. Who hands in an
// order while another thread is inside leaves it to that one.
//
// A background thread runs the timers, makes connections (with Asio), and does what is due while no caller
// does.
//
// submit(), drive() and interrupt() may be called from any thread; the rest only from inside (from an order,
// a handler or a timer).
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <holdfast/store.hpp>

#include "core/annotations.hpp"
#include "seats.hpp"

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

    /// Has the order run inside, in the order of submission: once somebody drives, or soon.
    void submit(std::function<void()> order);

    /// What a caller waits for when he waits for a reply.
    static inline const std::atomic<channel> a_reply{channel::commands};

    /// Lends the thread to the loop until the place is notified or the instant has passed; may return early.
    /// `by` says on which connection it will come, and may change meanwhile.
    void drive(parking_place& place, instant until, const std::atomic<channel>& by = a_reply);

    /// Makes the thread that drives for this place look at it, and at what it waits for, which has changed.
    void wake(parking_place& place);

    /// The same from outside.
    void interrupt(parking_place& place) { seats_.ring(place); }

    /// Where the background thread makes connections.
    boost::asio::io_context& context() noexcept { return *context_; }
    /// On the background thread, outside: goes inside, runs it there, and leaves.
    void run_inside(const std::function<void()>& what);

    /// Inside: runs the function at that instant, or a little later. The timer names it until it runs.
    using timer = std::multimap<instant, std::function<void()>>::iterator;
    timer call_at(instant when, std::function<void()> what) { return timers_.emplace(when, std::move(what)); }
    void cancel(timer which) { timers_.erase(which); }

    /// Inside, once: what to do before leaving, namely to send what has been written.
    void before_leaving(std::function<void()> flush) { flush_ = std::move(flush); }

    /// Inside: the connections, and whether somebody waits for them.
    seats& places() noexcept { return seats_; }

  private:
    /// What the background thread saw when it looked on the last time.
    struct tick {
        std::uint64_t orders_run = 0;
        std::uint64_t asked = 0;
    };

    loop();
    bool try_enter() noexcept { return inside_.try_lock(); }
    void leave();
    void run_orders();
    void run_timers();
    template <typename What>
    void go_inside(parking_place* of, const What& what);
    void receive_from(std::uint64_t source_number, bool sends);
    bool has_orders();
    void ask_for_background();
    void poke();
    void background();
    instant plan();
    void look_on(tick& before);

    const std::unique_ptr<boost::asio::io_context> context_;
    seats seats_;
    struct cover;
    const std::unique_ptr<cover> cover_;

    core::latch inside_;

    core::latch guard_;
    std::vector<std::function<void()>> orders_ GUARDED_BY(guard_);
    std::uint64_t orders_run_ GUARDED_BY(guard_) = 0; ///< How often somebody ran what there was.
    std::uint64_t asked_ GUARDED_BY(guard_) = 0;      ///< How often somebody came.
    bool watching_ GUARDED_BY(guard_) = false;        ///< The background thread looks every few milliseconds.
    bool stopping_ GUARDED_BY(guard_) = false;
    instant next_timer_ GUARDED_BY(guard_) = instant::max();
    instant
        sleeps_until_ GUARDED_BY(guard_) = instant::min(); ///< The background thread. Later only if poked.

    // Touched inside only.
    std::vector<std::function<void()>> running_orders_;
    std::multimap<instant, std::function<void()>> timers_;
    std::function<void()> flush_;
    parking_place* inside_for_ = nullptr; ///< What the thread that is inside waits for.
    instant last_look_{};

    // Touched by the background thread only.
    std::optional<instant> watching_since_;
    bool acted_ = false; ///< It was inside.

    std::thread thread_;
};

} // namespace holdfast::redis
