// A second process may keep a session from ending with its own: store_session::second_life().
#include "local/support.hpp"

#include <algorithm>
#include <thread>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

/// A thread that stands in the word as a guard does, until it is told to end.
class stand_in {
  public:
    explicit stand_in(local::word32& word) : word_(word) {
        thread_ = std::thread([this] { live(); });
        ready_.wait(false);
    }
    ~stand_in() { end(); }
    stand_in(const stand_in&) = delete;
    stand_in& operator=(const stand_in&) = delete;

    /// The kernel clears the word.
    void end() {
        if (thread_.joinable()) {
            over_ = true;
            over_.notify_all();
            thread_.join();
        }
    }

  private:
    void live() {
        head_.list.next = &node_;
        node_.next = &head_.list;
        head_.futex_offset = static_cast<long>(reinterpret_cast<std::intptr_t>(&word_) -
                                               reinterpret_cast<std::intptr_t>(&node_));
        word_.store(static_cast<std::uint32_t>(syscall(SYS_gettid)) | FUTEX_WAITERS);
        syscall(SYS_set_robust_list, &head_, sizeof head_);
        ready_ = true;
        ready_.notify_all();
        over_.wait(false);
    }

    local::word32& word_;
    robust_list_head head_{};
    robust_list node_{};
    std::atomic<bool> ready_{false};
    std::atomic<bool> over_{false};
    std::thread thread_;
};

class second_life : public ::testing::Test {
  protected:
    /// The word of the session of this process.
    local::word32& word_of(const local::segment& in, pid_t pid) {
        for (auto& each : in.data().slots) {
            if (local::state_of(each.session.load()) == local::session_state::alive &&
                static_cast<pid_t>(each.info.pid.load()) == pid) {
                return each.second_life;
            }
        }
        throw std::runtime_error("no such session");
    }
    /// How long after the guard's end the next one holds, who waits in line meanwhile.
    std::chrono::nanoseconds succeed_a_guard() {
        holder victim(folder_.path().string(), "name", 60s);
        EXPECT_NE(victim.token(), 0U);
        const auto memory = local::open_segment(folder_.path().string(), soon()).value();
        stand_in guard(word_of(*memory, victim.process().pid()));
        const auto locks = connect("local:" + folder_.path().string(), {.ttl = 60s});
        victim.process().kill();
        const auto early = locks.mutex("name").try_acquire_for(300ms);
        EXPECT_EQ(early ? errc{} : early.error().code(), errc::timed_out)
            << "the next holder began before the guard had ended";
        instant granted_at;
        std::thread waiter([&] {
            EXPECT_TRUE(locks.mutex("name").try_acquire_for(patience));
            granted_at = now(clock_source::monotonic);
        });
        EXPECT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
        const instant ended_at = now(clock_source::monotonic);
        guard.end();
        waiter.join();
        EXPECT_GE(granted_at, ended_at);
        return granted_at - ended_at;
    }

    temp_dir folder_{"holdfast-second"};
};

TEST_F(second_life, a_hold_outlives_its_process_while_the_guard_lives_and_no_longer) {
    // Whoever did not sleep on the guard's word would find out all the same, but only after a second. A busy
    // machine may take as long by itself; hardly each time.
    constexpr auto by_chance = 500ms;
    auto soonest = std::chrono::nanoseconds::max();
    for (int round = 0; round < 5 && soonest >= by_chance; ++round) {
        soonest = std::min(soonest, succeed_a_guard());
    }
    EXPECT_LT(soonest, by_chance) << "the guard's death went unnoticed";
}

TEST_F(second_life, the_lease_ends_it_whoever_lives) {
    holder victim(folder_.path().string(), "name", 500ms);
    ASSERT_NE(victim.token(), 0U);
    const auto opened = local::open_segment(folder_.path().string(), soon());
    ASSERT_TRUE(opened);
    stand_in guard(word_of(**opened, victim.process().pid()));
    const auto locks = connect("local:" + folder_.path().string(), {.ttl = 60s});
    victim.process().kill();
    EXPECT_TRUE(locks.mutex("name").try_acquire_for(10s));
}

TEST_F(second_life, the_place_of_the_word_is_told) {
    const auto engine = local_store(folder_.path().string());
    session_request request{.id = {1}, .ttl = 60s, .who = {}};
    request.who.pid = getpid();
    const auto session = engine->open(request, soon()).value();
    const auto place = session->second_life();
    ASSERT_TRUE(place);
    const std::uint32_t written = 0x1234;
    ASSERT_EQ(pwrite(place->fd, &written, sizeof written, static_cast<off_t>(place->offset)), 4);
    const auto opened = local::open_segment(folder_.path().string(), soon());
    ASSERT_TRUE(opened);
    EXPECT_EQ(word_of(**opened, getpid()).load(), written);
}

} // namespace
} // namespace holdfast::testing
