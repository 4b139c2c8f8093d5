// Leader, followers and the background thread, without a server.
#include "redis/loop.hpp"

#include "support/wait_for.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace holdfast::redis {
namespace {

using namespace std::chrono_literals;
using holdfast::testing::wait_for;

instant soon(std::chrono::nanoseconds in) {
    return now(clock_source::boottime) + in;
}

class loops : public ::testing::Test {
  protected:
    ~loops() override { io_->stop(); }
    const std::shared_ptr<loop> io_ = loop::start();
};

TEST_F(loops, a_caller_that_drives_runs_its_own_order) {
    parking_place place;
    std::thread::id ran_on;
    io_->submit([&] {
        ran_on = std::this_thread::get_id();
        place.notify();
    });
    io_->drive(place, soon(5s));
    EXPECT_TRUE(place.notified());
}

TEST_F(loops, an_order_that_nobody_drives_is_run_in_the_background) {
    std::atomic<bool> ran{false};
    io_->submit([&] { ran = true; });
    EXPECT_TRUE(wait_for([&] { return ran.load(); }, 5s));
}

TEST_F(loops, what_is_expected_is_driven_in_the_background_until_it_is_settled) {
    std::atomic<bool> ran{false};
    io_->submit([&] {
        io_->expect();
        io_->call_at(soon(30ms), [&] {
            io_->settle();
            ran = true;
        });
    });
    EXPECT_TRUE(wait_for([&] { return ran.load(); }, 5s));
}

TEST_F(loops, driving_ends_at_its_instant) {
    parking_place place;
    const auto began = std::chrono::steady_clock::now();
    io_->drive(place, soon(30ms));
    EXPECT_GE(std::chrono::steady_clock::now() - began, 29ms);
}

TEST_F(loops, an_interrupt_ends_driving_for_leaders_and_followers) {
    parking_place first;
    parking_place second;
    std::thread one([&] { io_->drive(first, soon(60s)); });
    std::thread two([&] { io_->drive(second, soon(60s)); });
    for (parking_place* place : {&second, &first}) {
        place->notify();
        io_->interrupt(*place);
    }
    one.join();
    two.join();
}

TEST_F(loops, a_leader_that_leaves_passes_the_lead_on) {
    // Many callers, each of which waits for a timer of its own: whoever leads runs the timers of all.
    constexpr int callers = 16;
    std::vector<parking_place> places(callers);
    std::vector<std::thread> threads;
    for (int i = 0; i < callers; ++i) {
        threads.emplace_back([&, i] {
            io_->submit([this, &places, i] {
                io_->expect();
                io_->call_at(soon(std::chrono::milliseconds(5 + i)), [this, &places, i] {
                    io_->settle();
                    places[static_cast<std::size_t>(i)].notify();
                    io_->wake(places[static_cast<std::size_t>(i)]);
                });
            });
            parking_place& mine = places[static_cast<std::size_t>(i)];
            while (!mine.notified()) {
                io_->drive(mine, soon(20s));
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
}

TEST_F(loops, hammered_from_all_sides_nothing_is_forgotten) {
    constexpr int callers = 8;
    constexpr int rounds = 3'000;
    std::vector<std::thread> threads;
    for (int i = 0; i < callers; ++i) {
        threads.emplace_back([&] {
            for (int k = 0; k < rounds; ++k) {
                parking_place place;
                io_->submit([this, &place] {
                    place.notify();
                    io_->wake(place);
                });
                const instant latest = soon(20s);
                while (!place.notified()) {
                    io_->drive(place, latest);
                    ASSERT_LT(now(clock_source::boottime), latest) << "an order was forgotten";
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
}

} // namespace
} // namespace holdfast::redis
