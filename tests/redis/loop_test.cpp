// Callers that drive, the places where they sleep, and the background thread, without a server.
#include "redis/loop.hpp"

#include "support/wait_for.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <set>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

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
    static std::set<std::string> threads_of_others() {
        std::thread([] {}).join(); // ThreadSanitizer starts a thread of its own with the first.
        return threads();
    }
    static std::set<std::string> threads() {
        std::set<std::string> numbers;
        for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
            numbers.insert(task.path().filename());
        }
        return numbers;
    }
    const std::set<std::string> others_ = threads_of_others(); ///< The test's own, and a sanitizer's.
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
    io_->submit([&] { io_->call_at(soon(30ms), [&] { ran = true; }); });
    EXPECT_TRUE(wait_for([&] { return ran.load(); }, 5s));
}

TEST_F(loops, driving_ends_at_its_instant) {
    parking_place place;
    const auto began = std::chrono::steady_clock::now();
    io_->drive(place, soon(30ms));
    EXPECT_GE(std::chrono::steady_clock::now() - began, 29ms);
}

TEST_F(loops, an_interrupt_ends_driving) {
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

TEST_F(loops, more_callers_than_seats_are_all_woken) {
    constexpr int callers = 40;
    std::vector<parking_place> places(callers);
    std::vector<std::thread> threads;
    for (int i = 0; i < callers; ++i) {
        threads.emplace_back([&, i] {
            io_->submit([this, &places, i] {
                io_->call_at(soon(std::chrono::milliseconds(5 + i)), [this, &places, i] {
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

/// One end of a pair of sockets, as a connection would have it; the test has the other.
class fake_source final : public source {
  public:
    explicit fake_source(loop& io, parking_place* reader_of_byte = nullptr)
        : io_(io), places_(reader_of_byte) {
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends_), 0);
    }
    ~fake_source() override {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    fake_source(const fake_source&) = delete;
    fake_source& operator=(const fake_source&) = delete;

    int descriptor() const noexcept override { return ends_[0]; }
    /// Every byte is the number of a place, which it notifies.
    void receive() override {
        char byte = 0;
        while (::recv(ends_[0], &byte, 1, MSG_DONTWAIT) == 1) {
            {
                const std::lock_guard locked(guard_);
                readers_.push_back(std::this_thread::get_id());
            }
            if (byte == special_) {
                then_();
            }
            if (places_ != nullptr) {
                places_[static_cast<int>(byte)].notify();
                io_.wake(places_[static_cast<int>(byte)]);
            }
        }
    }
    void on_byte(int which, std::function<void()> then) {
        special_ = static_cast<char>(which);
        then_ = std::move(then);
    }
    void send_rest() override {
        ++sends_;
        io_.places().has_sent(*this);
    }

    void say(int place) {
        const char byte = static_cast<char>(place);
        EXPECT_EQ(::send(ends_[1], &byte, 1, 0), 1);
    }
    std::vector<std::thread::id> readers() {
        const std::lock_guard locked(guard_);
        return readers_;
    }
    int sends() const { return sends_; }
    /// Until the kernel takes no more.
    void fill() {
        const std::string block(4096, 'x');
        while (::send(ends_[0], block.data(), block.size(), MSG_DONTWAIT) > 0) {
        }
    }
    void empty() {
        std::string block(4096, ' ');
        while (::recv(ends_[1], block.data(), block.size(), MSG_DONTWAIT) > 0) {
        }
    }

  private:
    loop& io_;
    parking_place* const places_;
    int ends_[2] = {-1, -1};
    std::mutex guard_;
    std::vector<std::thread::id> readers_;
    std::atomic<int> sends_{0};
    char special_ = -1;
    std::function<void()> then_;
};

class connections_of_a_loop : public loops {
  protected:
    /// Runs it inside and waits for that.
    void inside(const std::function<void()>& what) {
        parking_place place;
        io_->submit([&] {
            what();
            place.notify();
        });
        while (!place.notified()) {
            io_->drive(place, soon(10s));
        }
    }
    std::shared_ptr<fake_source> open(channel on) {
        auto made = std::make_shared<fake_source>(*io_, places_);
        inside([&] { io_->places().look_after(on, made); });
        return made;
    }
    void forget(const fake_source& which) {
        inside([&] { io_->places().forget(which); });
    }
    /// A caller that waits for its place.
    std::thread caller(int place, const std::atomic<channel>& by) {
        return std::thread([this, place, &by] {
            while (!places_[place].notified()) {
                io_->drive(places_[place], soon(20s), by);
            }
        });
    }
    /// The place stands for a thread that sleeps; there is no other sign of it than that the kernel says so.
    static void wait_until_asleep(pid_t thread) {
        const std::string stat = "/proc/self/task/" + std::to_string(thread) + "/stat";
        EXPECT_TRUE(wait_for(
            [&] {
                std::string text(512, ' ');
                const int fd = ::open(stat.c_str(), O_RDONLY | O_CLOEXEC);
                const auto size = ::read(fd, text.data(), text.size());
                ::close(fd);
                text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
                const auto end = text.rfind(')');
                return end != std::string::npos && text.compare(end, 3, ") S") == 0;
            },
            10s));
    }

    /// Also the background thread has gone to sleep for good: no thread of ours has run for many looks.
    void wait_until_nobody_runs() const {
        constexpr int many = 20;
        long before = -1;
        int quiet = 0;
        EXPECT_TRUE(wait_for(
            [&] {
                long switches = 0;
                for (const std::string& number : threads()) {
                    std::ifstream status("/proc/self/task/" + number + "/status");
                    for (std::string word; !others_.contains(number) && status >> word;) {
                        long count = 0;
                        if (word.ends_with("ctxt_switches:") && status >> count) {
                            switches += count;
                        }
                    }
                }
                quiet = std::exchange(before, switches) == switches ? quiet + 1 : 0;
                return quiet >= many;
            },
            10s));
    }

    parking_place places_[8];
    std::atomic<channel> by_messages_{channel::messages};
};

TEST_F(connections_of_a_loop,
       whoever_sleeps_on_one_reads_it_and_the_kernel_wakes_them_in_the_order_in_which_they_came) {
    const auto messages = open(channel::messages);
    std::vector<std::thread> threads;
    std::vector<std::thread::id> came;
    for (int i = 0; i < 4; ++i) {
        std::atomic<pid_t> number{0};
        threads.emplace_back([&, i] {
            number = ::gettid();
            while (!places_[i].notified()) {
                io_->drive(places_[i], soon(20s), by_messages_);
            }
        });
        came.push_back(threads.back().get_id());
        ASSERT_TRUE(wait_for([&] { return number != 0; }, 10s));
        wait_until_asleep(number);
    }
    for (int i = 0; i < 4; ++i) {
        messages->say(i);
        threads[static_cast<std::size_t>(i)].join();
    }
    EXPECT_EQ(messages->readers(), came);
    forget(*messages);
}

TEST_F(connections_of_a_loop, who_reads_what_is_for_another_wakes_it) {
    const auto messages = open(channel::messages);
    std::thread first = caller(0, by_messages_);
    std::thread second = caller(1, by_messages_);
    std::thread of_replies = caller(2, loop::a_reply);
    for (const int place : {2, 1, 0}) {
        messages->say(place);
    }
    of_replies.join();
    second.join();
    first.join();
    forget(*messages);
}

TEST_F(connections_of_a_loop, one_that_is_opened_while_somebody_waits_for_it_is_slept_on) {
    std::thread waiting = caller(0, loop::a_reply);
    const auto commands = open(channel::commands);
    commands->say(0);
    const auto id = waiting.get_id();
    waiting.join();
    ASSERT_EQ(commands->readers().size(), 1u);
    EXPECT_EQ(commands->readers()[0], id) << "nothing was expected, so the background thread leaves it alone";
    forget(*commands);
}

TEST_F(connections_of_a_loop, what_is_due_and_not_slept_on_is_read_in_the_background) {
    const auto commands = open(channel::commands);
    const auto messages = open(channel::messages);
    inside([&] {
        io_->places().expect(channel::commands);
        io_->places().expect(channel::messages);
    });
    commands->say(0);
    messages->say(1);
    EXPECT_TRUE(wait_for([&] { return places_[0].notified() && places_[1].notified(); }, 10s));
    // A caller takes it over, and leaves it to the background again.
    std::thread waiting = caller(2, loop::a_reply);
    commands->say(2);
    waiting.join();
    commands->say(3);
    EXPECT_TRUE(wait_for([&] { return places_[3].notified(); }, 10s));
    forget(*commands);
    forget(*messages);
}

TEST_F(connections_of_a_loop,
       what_a_caller_asks_for_while_it_waits_for_something_else_is_read_in_the_background) {
    const auto commands = open(channel::commands);
    const auto messages = open(channel::messages);
    // The message with this number is a reason to ask for something.
    messages->on_byte(1, [&] { io_->places().expect(channel::commands); });
    std::thread waiting = caller(0, by_messages_);
    wait_until_nobody_runs();
    messages->say(1);
    ASSERT_TRUE(wait_for([&] { return places_[1].notified(); }, 10s));
    commands->say(2);
    EXPECT_TRUE(wait_for([&] { return places_[2].notified(); }, 10s));
    messages->say(0);
    waiting.join();
    forget(*commands);
    forget(*messages);
}

TEST_F(connections_of_a_loop, what_a_caller_begins_to_wait_for_meanwhile_counts) {
    const auto messages = open(channel::messages);
    std::atomic<channel> by{channel::commands};
    std::thread waiting = caller(0, by);
    const auto id = waiting.get_id();
    inside([&] {
        by = channel::messages;
        io_->wake(places_[0]);
    });
    messages->say(0);
    waiting.join();
    EXPECT_EQ(messages->readers(), std::vector{id});
    forget(*messages);
}

TEST_F(connections_of_a_loop, what_the_kernel_had_no_room_for_is_sent_when_it_has) {
    const auto commands = open(channel::commands);
    commands->fill();
    inside([&] { io_->places().wants_to_send(*commands); });
    EXPECT_EQ(commands->sends(), 0);
    commands->empty();
    EXPECT_TRUE(wait_for([&] { return commands->sends() == 1; }, 10s));
    forget(*commands);
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
