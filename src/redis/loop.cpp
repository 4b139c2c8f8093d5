#include "loop.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <fcntl.h>
#include <utility>

#include "core/boottime.hpp"
#include "core/quiet_thread.hpp"

namespace holdfast::redis {

using core::latch_guard;
using std::chrono::milliseconds;

namespace {

// How long a request may wait for the thread that made it to come and drive, and a connection with something
// due for somebody to sleep on it, before the background thread takes over.
constexpr milliseconds patience{2};
// A connection that rested this long may have been closed by the server: look before writing into it.
constexpr milliseconds rested{20};
constexpr std::chrono::hours longest_sleep{1};

} // namespace

/// The covered connections, as Asio sees them.
struct loop::cover {
    boost::asio::posix::stream_descriptor descriptor;
    bool armed = false;

    /// Nothing can come unseen between this and the next run of the context.
    void arm() {
        if (!std::exchange(armed, true)) {
            descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                  [this](const boost::system::error_code&) { armed = false; });
        }
    }
};

// One thread runs the context, but any thread may post to it.
loop::loop()
    : context_(std::make_unique<boost::asio::io_context>(1)),
      cover_(new cover{.descriptor = {*context_, ::fcntl(seats_.cover_descriptor(), F_DUPFD_CLOEXEC, 0)}}) {
    context_->get_executor().on_work_started(); // It never runs dry, so it never has to be restarted.
}

std::shared_ptr<loop> loop::start() {
    std::shared_ptr<loop> made(new loop);
    // The thread keeps the loop, because the loop's last user may be an order that this very thread runs.
    made->thread_ = core::start_quiet_thread([made] { made->background(); });
    return made;
}

loop::~loop() = default;

void loop::stop() {
    {
        const latch_guard locked(guard_);
        stopping_ = true;
    }
    poke();
    if (thread_.get_id() == std::this_thread::get_id()) {
        thread_.detach();
    } else if (thread_.joinable()) {
        thread_.join();
    }
}

void loop::submit(std::function<void()> order) {
    {
        const latch_guard locked(guard_);
        orders_.push_back(std::move(order));
    }
    ask_for_background();
}

// Its thread is usually about to drive, so it is only asked to look on.
void loop::ask_for_background() {
    {
        const latch_guard locked(guard_);
        ++asked_;
        if (std::exchange(watching_, true)) {
            return;
        }
    }
    poke();
}

void loop::poke() {
    boost::asio::post(*context_, [] {});
}

bool loop::has_orders() {
    const latch_guard locked(guard_);
    return !orders_.empty();
}

template <typename What>
void loop::go_inside(parking_place* of, const What& what) NO_THREAD_SAFETY_ANALYSIS {
    inside_.lock();
    inside_for_ = of;
    what();
    leave();
}

void loop::drive(parking_place& place, instant until, const std::atomic<channel>& by) {
    if (has_orders() && try_enter()) {
        inside_for_ = &place;
        if (boottime() - last_look_ > rested) {
            last_look_ = boottime();
            for (const auto& each : seats_.all()) {
                each->receive();
            }
        }
        leave();
    }
    if (place.notified()) {
        return;
    }
    seats::seat* const mine = seats_.take(place);
    if (mine == nullptr) {
        place.wait_until(until, clock_source::boottime);
        return;
    }
    while (!place.notified() && boottime() < until) {
        // What has come may have been the reason to ask for something that we do not wait for.
        if (seats_.lie_down(*mine, by.load(std::memory_order_acquire))) {
            ask_for_background();
        }
        if (const std::uint64_t ready = seats_.sleep(*mine, until)) {
            go_inside(&place, [&] { receive_from(ready, false); });
        }
    }
    if (seats_.give_back(*mine)) {
        ask_for_background();
    }
}

void loop::run_inside(const std::function<void()>& what) {
    go_inside(nullptr, what);
    acted_ = true;
}

void loop::receive_from(std::uint64_t source_number, bool sends) {
    last_look_ = boottime();
    if (const auto found = seats_.find(source_number)) {
        found->receive();
        if (sends) {
            found->send_rest();
        }
    }
}

void loop::wake(parking_place& place) {
    if (&place != inside_for_) {
        seats_.ring(place);
    }
}

void loop::run_orders() {
    {
        const latch_guard locked(guard_);
        ++orders_run_;
        running_orders_.swap(orders_);
    }
    for (const auto& order : running_orders_) {
        order();
    }
    running_orders_.clear();
}

void loop::run_timers() {
    const instant at = boottime();
    while (!timers_.empty() && timers_.begin()->first <= at) {
        const auto due = timers_.extract(timers_.begin());
        due.mapped()();
    }
}

// Runs what others have left to us, sends, and goes outside. An order that comes too late for us to see it is
// seen when we have left: whoever hands it in finds us inside only as long as we are.
void loop::leave() NO_THREAD_SAFETY_ANALYSIS {
    do {
        run_orders();
        if (flush_) {
            flush_();
        }
        bool early = false;
        {
            const latch_guard locked(guard_);
            next_timer_ = timers_.empty() ? instant::max() : timers_.begin()->first;
            early = next_timer_ < sleeps_until_;
            if (early) {
                sleeps_until_ = next_timer_;
            }
        }
        inside_for_ = nullptr;
        inside_.unlock();
        if (early) {
            poke();
        }
    } while (has_orders() && try_enter());
}

// The background thread

void loop::background() {
    tick at_last;
    for (;;) {
        cover_->arm();
        for (const std::uint64_t number : seats_.ready_to_cover()) {
            run_inside([&] { receive_from(number, true); });
        }
        const instant at = boottime();
        bool timers_due = false;
        {
            const latch_guard locked(guard_);
            if (stopping_) {
                break;
            }
            timers_due = next_timer_ <= at;
        }
        if (timers_due) {
            run_inside([this] { run_timers(); });
        }
        if (watching_since_ && at >= *watching_since_ + patience) {
            look_on(at_last);
        }
        if (std::exchange(acted_, false)) {
            // What we have asked for ourselves nobody else will wait for.
            static_cast<void>(seats_.cover(true));
        }
        const instant wake_at = plan();
        context_->run_one_for(std::max(wake_at - boottime(), std::chrono::nanoseconds(0)));
        context_->poll();
    }
}

instant loop::plan() {
    const latch_guard locked(guard_);
    const instant at = boottime();
    if (!watching_) {
        watching_since_.reset();
    } else if (!watching_since_) {
        watching_since_ = at;
    }
    sleeps_until_ = std::min(next_timer_, watching_since_ ? *watching_since_ + patience : at + longest_sleep);
    return sleeps_until_;
}

// Runs the orders, and covers the connections, that stayed undone for a whole tick. Goes on looking while
// there is something to look for, or somebody came.
void loop::look_on(tick& before) {
    bool overdue = false;
    bool left = false;
    std::uint64_t asked = 0;
    {
        const latch_guard locked(guard_);
        overdue = !orders_.empty() && orders_run_ == before.orders_run;
        left = !orders_.empty() && !overdue;
        before.orders_run = orders_run_;
        asked = asked_;
    }
    if (overdue) {
        run_inside([] {});
    }
    left = seats_.cover(false) || left;
    const latch_guard locked(guard_);
    watching_ = left || asked_ != before.asked;
    before.asked = asked;
    watching_since_.reset();
}

} // namespace holdfast::redis
