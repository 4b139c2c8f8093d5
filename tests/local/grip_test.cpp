// Holds of the free path, which cost no allocation and no count of references: they are holds like any other,
// whoever moves, outlives, loses or inherits them.
#include "local/support.hpp"

#include <atomic>
#include <barrier>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "core/grip.hpp"
#include "core/inside.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

bool is_whole(const held& handle) {
    const core::grip* const by = core::inside::grip_of(handle);
    return by != nullptr && by->is_whole();
}

class grips : public ::testing::Test {
  protected:
    /// The third acquisition of a face on is by its lane.
    static mutex warmed(const locks& on, const std::string& name) {
        mutex made = on.mutex(name);
        for (int turn = 0; turn < 3; ++turn) {
            made.acquire().value().release().value();
        }
        return made;
    }
    /// How many sessions the segment shows.
    std::size_t sessions() const {
        const auto opened = local::open_segment(folder_.path().string(), soon());
        std::size_t count = 0;
        for (const local::slot& each : (*opened)->data().slots) {
            count += local::state_of(each.session.load()) == local::session_state::alive ? 1 : 0;
        }
        return count;
    }
    std::string url() const { return "local:" + folder_.path().string(); }

    temp_dir folder_{"holdfast-grips"};
};

TEST_F(grips, a_free_name_is_held_without_a_hold_of_its_own_until_more_is_asked) {
    const auto on = connect(url());
    auto lock = warmed(on, "a");
    std::uint64_t last = 0;
    for (int turn = 0; turn < 100; ++turn) {
        auto mine = lock.acquire().value();
        EXPECT_FALSE(is_whole(mine));
        EXPECT_GT(mine.token().value(), last);
        EXPECT_GT(mine.valid_for(), 5s);
        EXPECT_EQ(mine.reason(), loss_reason::none);
        EXPECT_FALSE(is_whole(mine)) << "looking costs no more than that";
        last = mine.token().value();
        EXPECT_FALSE(connect(url()).mutex("a").try_acquire()) << "it is a hold for everybody else";
        EXPECT_TRUE(mine.release());
        EXPECT_FALSE(mine);
    }
    auto mine = lock.acquire().value();
    const auto lost = mine.lost();
    EXPECT_TRUE(is_whole(mine));
    EXPECT_GT(mine.token().value(), last);
    EXPECT_TRUE(mine.release());
    EXPECT_FALSE(lost.stop_requested());
}

TEST_F(grips, a_hold_moves_to_another_thread_and_outlives_the_one_that_took_it) {
    const auto on = connect(url());
    auto lock = warmed(on, "a");
    held mine;
    std::thread([&] { mine = lock.acquire().value(); }).join();
    EXPECT_FALSE(is_whole(mine));
    EXPECT_GT(mine.valid_for(), 0s);
    // Threads that come later take over the grips of the one that has ended, but not this one.
    for (int thread = 0; thread < 4; ++thread) {
        std::thread([&] {
            auto other = warmed(on, "b");
            EXPECT_GT(other.acquire().value().valid_for(), 0s);
        }).join();
    }
    EXPECT_FALSE(lock.try_acquire());
    EXPECT_TRUE(mine.release());
    EXPECT_TRUE(lock.try_acquire());
}

TEST_F(grips, more_holds_than_a_thread_has_grips_are_holds_all_the_same) {
    const auto on = connect(url());
    std::deque<mutex> all;
    std::vector<held> mine;
    int whole = 0;
    for (int name = 0; name < 20; ++name) {
        all.push_back(warmed(on, "n" + std::to_string(name)));
        mine.push_back(all.back().acquire().value());
        whole += is_whole(mine.back()) ? 1 : 0;
    }
    EXPECT_EQ(whole, 12);
    for (std::size_t name = 0; name < all.size(); ++name) {
        EXPECT_FALSE(all[name].try_acquire());
        EXPECT_TRUE(mine[name].release());
        EXPECT_TRUE(all[name].try_acquire());
    }
}

TEST_F(grips, a_hold_keeps_its_session_when_face_and_locks_are_gone_and_ends_it_with_its_release) {
    std::optional<locks> on = connect(url(), {.ttl = 1s});
    std::optional<mutex> lock = warmed(*on, "a");
    held mine = lock->acquire().value();
    EXPECT_FALSE(is_whole(mine));
    lock.reset();
    on.reset();
    const auto until = std::chrono::steady_clock::now() + 1500ms;
    EXPECT_TRUE(
        wait_for([&] { return mine.is_lost() || std::chrono::steady_clock::now() >= until; }, patience));
    EXPECT_FALSE(mine.is_lost()) << "renewed beyond its TTL";
    EXPECT_EQ(sessions(), 1U);
    EXPECT_TRUE(mine.release());
    EXPECT_TRUE(wait_for([&] { return sessions() == 0; }, patience));
    EXPECT_EQ(left_overs(folder_.path().string()), "");
}

TEST_F(grips, a_session_ends_with_the_last_handle_also_when_nothing_is_held) {
    {
        const auto on = connect(url());
        auto lock = warmed(on, "a");
        auto copy = lock;
        EXPECT_EQ(sessions(), 1U);
    }
    EXPECT_TRUE(wait_for([&] { return sessions() == 0; }, patience));
}

TEST_F(grips, a_waiter_is_served_by_the_release) {
    const auto on = connect(url());
    auto lock = warmed(on, "a");
    auto mine = lock.acquire().value();
    std::atomic<bool> served{false};
    std::jthread waiter([&] {
        const auto other = connect(url()).mutex("a").acquire();
        served = other.has_value();
    });
    EXPECT_TRUE(wait_for([&] { return claims_in(on, "a") == 2; }, patience));
    EXPECT_FALSE(served);
    EXPECT_TRUE(mine.release());
    EXPECT_TRUE(wait_for([&] { return served.load(); }, patience));
}

TEST_F(grips, a_broken_hold_is_lost_for_good_and_says_why) {
    const auto on = connect(url());
    auto lock = warmed(on, "a");
    auto mine = lock.acquire().value();
    EXPECT_FALSE(is_whole(mine));
    EXPECT_EQ(on.break_holds("a", std::nullopt).value(), 1U);
    EXPECT_TRUE(mine.is_lost());
    EXPECT_TRUE(is_whole(mine));
    EXPECT_NE(mine.reason(), loss_reason::none);
    auto next = lock.acquire().value();
    EXPECT_TRUE(mine.is_lost());
    const auto released = mine.release();
    ASSERT_FALSE(released);
    EXPECT_EQ(released.error().code(), errc::lost);
    EXPECT_FALSE(next.is_lost()) << "the late release leaves the next hold alone";
}

TEST_F(grips, a_hold_is_lost_with_its_segment) {
    const auto on = connect(url());
    auto lock = warmed(on, "a");
    auto mine = lock.acquire().value();
    // Somebody replaces the segment: whatever stands in it counts no more.
    std::filesystem::remove(folder_.path() / "holdfast.segment");
    EXPECT_TRUE(wait_for([&] { return mine.is_lost(); }, patience));
    EXPECT_NE(mine.reason(), loss_reason::none);
    EXPECT_EQ(mine.release().error().code(), errc::lost);
}

TEST_F(grips, lock_and_unlock_keep_a_lost_hold_apart_from_the_next) {
    const auto on = connect(url());
    auto lock = warmed(on, "a");
    lock.lock();
    EXPECT_FALSE(lock.try_lock());
    lock.unlock();
    lock.lock();
    const auto first = lock.current();
    EXPECT_GT(first.valid_for(), 0s);
    EXPECT_EQ(on.break_holds("a", std::nullopt).value(), 1U);
    lock.lock(); // The first was not unlocked: two are kept, one of them lost.
    const auto second = lock.current();
    EXPECT_EQ(first.valid_for(), 0s);
    EXPECT_GT(second.valid_for(), 0s);
    EXPECT_GT(second.token().value(), first.token().value());
    lock.unlock(); // Takes the lost one.
    EXPECT_GT(second.valid_for(), 0s);
    EXPECT_FALSE(lock.try_lock());
    lock.unlock();
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
    lock.unlock(); // Nothing is kept: does nothing.
}

TEST_F(grips, what_one_thread_locked_another_may_unlock) {
    const auto on = connect(url());
    auto lock = warmed(on, "a");
    for (int turn = 0; turn < 20; ++turn) {
        std::thread([&] { lock.lock(); }).join();
        const auto seen = lock.current();
        EXPECT_GT(seen.token().value(), 0U);
        EXPECT_GT(seen.valid_for(), 0s);
        EXPECT_FALSE(lock.try_lock());
        std::thread([&] { lock.unlock(); }).join();
        EXPECT_EQ(seen.valid_for(), 0s);
        EXPECT_FALSE(lock.current());
        lock.lock();
        std::thread([&] { EXPECT_GT(lock.current().token(), seen.token()); }).join();
        lock.unlock();
        EXPECT_EQ(claims_in(on, "a"), 0U);
    }
}

TEST_F(grips, a_lost_hold_of_another_thread_is_taken_first) {
    const auto on = connect(url());
    auto lock = warmed(on, "a");
    std::thread([&] { lock.lock(); }).join();
    EXPECT_EQ(on.break_holds("a", std::nullopt).value(), 1U);
    lock.lock();
    const auto mine = lock.current();
    std::thread([&] { lock.unlock(); }).join();
    EXPECT_GT(mine.valid_for(), 0s) << "unlock() ended a hold that is still valid and in use";
    lock.unlock();
    EXPECT_EQ(mine.valid_for(), 0s);
    EXPECT_EQ(claims_in(on, "a"), 0U);
}

// Threads pass one object on with plain stores; who looks from aside takes what they keep under their hands.
TEST_F(grips, holds_that_are_broken_and_looked_at_all_the_time_are_neither_forgotten_nor_ended_twice) {
    const auto on = connect(url());
    auto lock = warmed(on, "a");
    const auto theirs = connect(url());
    std::atomic<bool> over{false};
    std::atomic<int> looked{0};
    std::atomic<std::size_t> broken{0};
    const auto user = [&] {
        for (int round = 0; !over; ++round) {
            lock.lock();
            if (round % 16 == 0) {
                static_cast<void>(lock.current().valid_for());
            }
            lock.unlock();
        }
    };
    {
        std::jthread one(user);
        std::jthread two(user);
        std::jthread looker([&] {
            for (; !over; ++looked) {
                static_cast<void>(lock.current().valid_for());
                std::this_thread::yield();
            }
        });
        std::jthread breaker([&] {
            while (!over) {
                const auto count = theirs.break_holds("a", std::nullopt);
                broken += count ? *count : 0;
                std::this_thread::yield();
            }
        });
        EXPECT_TRUE(wait_for([&] { return broken > 20 && looked > 100; }, patience));
        over = true;
    }
    EXPECT_FALSE(lock.current()) << "each was unlocked once";
    EXPECT_EQ(claims_in(on, "a"), 0U);
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
}

TEST_F(grips, a_hold_that_is_looked_at_while_it_is_unlocked_ends_once) {
    const auto on = connect(url());
    auto lock = warmed(on, "a");
    std::atomic<bool> over{false};
    std::jthread looker([&] {
        while (!over) {
            static_cast<void>(lock.current().valid_for());
        }
    });
    const auto until = std::chrono::steady_clock::now() + 500ms;
    int wrong = 0;
    for (int turn = 0; turn % 64 != 0 || std::chrono::steady_clock::now() < until; ++turn) {
        lock.lock();
        lock.unlock();
        if (turn % 1024 == 0) {
            wrong += lock.current() ? 1 : 0;
        }
    }
    over = true;
    looker.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(claims_in(on, "a"), 0U);
}

TEST_F(grips, an_object_that_goes_while_it_is_locked_lets_go) {
    const auto on = connect(url());
    {
        auto lock = warmed(on, "a");
        lock.lock();
        EXPECT_FALSE(on.mutex("a").try_lock());
    }
    EXPECT_TRUE(on.mutex("a").try_lock());
}

TEST_F(grips, a_release_without_waiting_takes_it_over) {
    const auto on = connect(url());
    auto lock = warmed(on, "a");
    std::atomic<int> done{0};
    async_release(lock.acquire().value(), [&](const result<void>& outcome) { done = outcome ? 1 : -1; });
    EXPECT_TRUE(wait_for([&] { return done != 0; }, patience));
    EXPECT_EQ(done, 1);
    EXPECT_TRUE(lock.try_acquire());
}

TEST_F(grips, a_forked_child_holds_nothing_and_leaves_the_parents_hold_alone) {
    const auto on = connect(url());
    auto lock = warmed(on, "a");
    auto mine = lock.acquire().value();
    const pid_t child = fork();
    if (child == 0) {
        int wrong = 0;
        wrong |= mine.is_lost() ? 0 : 1;
        wrong |= mine.reason() == loss_reason::forked ? 0 : 2;
        wrong |= mine.release() ? 4 : 0;
        wrong |= lock.try_acquire() ? 8 : 0;
#if !defined(__SANITIZE_THREAD__) // It allows no threads in a forked child.
        const auto again = connect(url());
        auto other = warmed(again, "b");
        wrong |= other.acquire() ? 0 : 16;
        wrong |= again.mutex("a").try_acquire() ? 32 : 0;
#endif
        _exit(wrong);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_FALSE(mine.is_lost());
    EXPECT_FALSE(is_whole(mine));
    EXPECT_TRUE(mine.release());
}

// Faces come and go while holds by their lanes are released elsewhere: the one thing that counts on a
// barrier.
TEST_F(grips, lanes_are_retired_under_the_hands_of_those_who_release) {
    const auto on = connect(url());
    constexpr int rounds = 3000;
    std::atomic<int> inside{0};
    std::atomic<bool> collided{false};
    std::mutex guard;
    std::deque<held> passed;
    std::atomic<bool> over{false};
    std::jthread releaser([&] {
        for (;;) {
            held taken;
            {
                const std::lock_guard locked(guard);
                if (!passed.empty()) {
                    taken = std::move(passed.front());
                    passed.pop_front();
                } else if (over) {
                    return;
                }
            }
            if (taken) {
                --inside;
                if (!taken.release()) {
                    collided = true;
                }
            }
        }
    });
    const auto acquirer = [&](int seed) {
        for (int round = 0; round < rounds; ++round) {
            auto lock = on.mutex("a"); // Its lane goes with it.
            for (int turn = 0; turn < 3 + (round + seed) % 2; ++turn) {
                auto mine = lock.acquire().value();
                if (++inside != 1) {
                    collided = true;
                }
                if (turn == 3) {
                    const std::lock_guard locked(guard);
                    passed.push_back(std::move(mine));
                } else {
                    --inside;
                    mine.release().value();
                }
            }
        }
    };
    {
        std::jthread one([&] { acquirer(0); });
        std::jthread two([&] { acquirer(1); });
    }
    over = true;
    releaser.join();
    EXPECT_FALSE(collided);
    EXPECT_EQ(inside, 0);
}

} // namespace
} // namespace holdfast::testing
