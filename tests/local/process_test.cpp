// Several real processes on one segment: order, death, and being stopped.
#include "local/futex.hpp"
#include "local/journal.hpp"
#include "local/support.hpp"

#include <csignal>
#include <set>

#include <gmock/gmock.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;

class processes : public ::testing::Test {
  protected:
    std::string folder() const { return folder_.path().string(); }
    std::string url() const { return "local:" + folder(); }

    temp_dir folder_{"holdfast-processes"};
};

TEST_F(processes, are_served_in_the_order_they_came) {
    const auto locks = connect(url());
    auto held = locks.mutex("name").acquire();
    ASSERT_TRUE(held);
    std::vector<std::unique_ptr<holder>> waiting;
    for (std::size_t i = 0; i < 4; ++i) {
        waiting.push_back(std::make_unique<holder>(folder(), "name", 10s));
        ASSERT_TRUE(wait_for([&] { return claims_in(locks, "name") == i + 2; }, patience));
    }
    std::uint64_t last = held->token().value();
    ASSERT_TRUE(held->release());
    for (auto& each : waiting) {
        const auto token = each->token();
        EXPECT_GT(token, last);
        last = token;
        EXPECT_EQ(each->release(), "released");
    }
}

TEST_F(processes, a_killed_holder_is_followed_at_once) {
    const auto locks = connect(url());
    holder victim(folder(), "name", 60s);
    ASSERT_NE(victim.token(), 0U);
    holder next(folder(), "name", 60s);
    ASSERT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
    const auto killed = std::chrono::steady_clock::now();
    victim.process().kill();
    EXPECT_NE(next.token(), 0U);
    // Nothing to do with any TTL: those are a minute long.
    EXPECT_LT(std::chrono::steady_clock::now() - killed, 5s);
    EXPECT_EQ(next.release(), "released");
}

TEST_F(processes, a_killed_holder_is_followed_at_once_without_futex_waitv) {
    local::pretend_no_waitv(true);
    const auto locks = connect(url());
    holder victim(folder(), "name", 60s);
    ASSERT_NE(victim.token(), 0U);
    std::thread killer([&] {
        EXPECT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
        victim.process().signal(SIGKILL);
    });
    EXPECT_TRUE(locks.mutex("name").try_acquire_for(5s));
    killer.join();
    local::pretend_no_waitv(false);
}

TEST_F(processes, a_death_is_passed_on_by_a_watcher_that_has_no_use_for_it) {
    // The kernel wakes one watcher of the victim: the first, who waits for a line that the victim has left.
    auto quickest = std::chrono::steady_clock::duration::max();
    for (int turn = 0; turn < 5; ++turn) {
        const auto locks = connect(url(), {.ttl = 60s});
        child_process victim({LOCAL_WORKER, "change_over", folder(), "permits", "3", "name"},
                             {.out = redirect::pipe(), .input_pipe = true});
        ASSERT_TRUE(victim.read_line(patience));
        auto rest = locks.semaphore("permits", 3).try_acquire_for(2, patience);
        ASSERT_TRUE(rest);
        const auto others = connect(url(), {.ttl = 60s});
        std::thread first([&] { EXPECT_TRUE(others.semaphore("permits", 3).try_acquire_for(3, patience)); });
        ASSERT_TRUE(wait_for([&] { return claims_in(locks, "permits") == 3; }, patience));
        std::this_thread::sleep_for(50ms); // Now it sleeps, or this turn shows nothing.
        victim.write_input("\n");
        EXPECT_TRUE(victim.read_line(patience));
        std::chrono::steady_clock::time_point killed;
        std::thread killer([&] {
            EXPECT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
            std::this_thread::sleep_for(50ms);
            killed = std::chrono::steady_clock::now();
            victim.signal(SIGKILL);
        });
        auto held = others.mutex("name").try_acquire_for(patience);
        const auto followed = std::chrono::steady_clock::now();
        killer.join();
        EXPECT_TRUE(held);
        quickest = std::min(quickest, followed - killed);
        EXPECT_TRUE(rest->release());
        first.join();
    }
    // Without the news each turn would last for the rest of a second, the longest that a watcher sleeps.
    EXPECT_LT(quickest, 400ms);
}

TEST_F(processes, a_killed_waiter_in_the_middle_is_left_out) {
    const auto locks = connect(url());
    auto held = locks.mutex("name").acquire();
    ASSERT_TRUE(held);
    holder victim(folder(), "name", 60s);
    ASSERT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
    holder next(folder(), "name", 60s);
    ASSERT_TRUE(wait_for([&] { return claims_in(locks, "name") == 3; }, patience));
    victim.process().kill();
    // Whoever waits behind it takes it out, before it is even its turn.
    EXPECT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
    ASSERT_TRUE(held->release());
    EXPECT_NE(next.token(), 0U);
    EXPECT_EQ(next.release(), "released");
}

TEST_F(processes, every_permit_of_a_killed_process_is_given_on) {
    const auto locks = connect(url());
    auto victim = std::make_unique<child_process>(
        std::vector<std::string>{LOCAL_WORKER, "hammer", folder(), (folder_ / "journal").string(), "name",
                                 "3", "60000", "6"},
        process_options{.out = redirect::pipe(), .input_pipe = true});
    ASSERT_TRUE(victim->read_line(patience));
    ASSERT_TRUE(wait_for([&] { return claims_in(locks, "name") >= 3; }, patience));
    victim->kill();
    EXPECT_TRUE(locks.semaphore("name", 3).try_acquire_for(3, 5s));
}

TEST_F(processes, a_stopped_holder_loses_its_hold_and_harms_nobody_when_it_goes_on) {
    const auto locks = connect(url(), {.ttl = 60s});
    holder stopped(folder(), "name", 500ms);
    const auto old_token = stopped.token();
    ASSERT_NE(old_token, 0U);
    stopped.process().signal(SIGSTOP);
    auto held = locks.mutex("name").try_acquire_for(patience);
    ASSERT_TRUE(held);
    EXPECT_GT(held->token().value(), old_token);
    stopped.process().signal(SIGCONT);
    EXPECT_THAT(stopped.release(), ::testing::HasSubstr("lost"));
    EXPECT_FALSE(held->is_lost());
    EXPECT_EQ(claims_in(locks, "name"), 1U);
    EXPECT_EQ(locks.mutex("name").try_acquire().error().code(), errc::busy);
    EXPECT_TRUE(held->release());
}

TEST_F(processes, a_stopped_holder_that_nobody_waits_for_cannot_renew_after_its_deadline) {
    holder stopped(folder(), "name", 300ms);
    ASSERT_NE(stopped.token(), 0U);
    stopped.process().signal(SIGSTOP);
    const auto locks = connect(url());
    ASSERT_TRUE(wait_for(
        [&] {
            const auto all = locks.list();
            return all && all->size() == 1 && all->front().claims.front().stale;
        },
        patience));
    stopped.process().signal(SIGCONT);
    EXPECT_THAT(stopped.release(), ::testing::HasSubstr("lost"));
    EXPECT_TRUE(wait_for([&] { return claims_in(locks, "name") == 0; }, patience));
}

TEST_F(processes, a_stopped_waiter_delays_its_followers_by_one_ttl_at_most) {
    const auto locks = connect(url());
    auto held = locks.mutex("name").acquire();
    ASSERT_TRUE(held);
    holder stopped(folder(), "name", 500ms);
    ASSERT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
    holder next(folder(), "name", 60s);
    ASSERT_TRUE(wait_for([&] { return claims_in(locks, "name") == 3; }, patience));
    stopped.process().signal(SIGSTOP);
    ASSERT_TRUE(held->release());
    EXPECT_NE(next.token(), 0U);
    EXPECT_EQ(next.release(), "released");
}

TEST_F(processes, a_renewed_session_outlives_its_first_deadline) {
    const auto locks = connect(url());
    holder steady(folder(), "name", 400ms);
    ASSERT_NE(steady.token(), 0U);
    EXPECT_EQ(locks.mutex("name").try_acquire_for(1500ms).error().code(), errc::timed_out);
    EXPECT_EQ(steady.release(), "released");
}

TEST_F(processes, list_tells_who_holds_and_who_waits) {
    const auto locks = connect(url(), {.command = "the test", .why = "because"});
    auto held = locks.mutex("name").acquire();
    ASSERT_TRUE(held);
    holder waiting(folder(), "name", 10s);
    ASSERT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
    const auto all = locks.list();
    ASSERT_TRUE(all);
    ASSERT_EQ(all->size(), 1U);
    const auto& shown = all->front();
    EXPECT_EQ(shown.name, "name");
    EXPECT_EQ(shown.capacity, lock_capacity);
    const auto& holds = shown.claims.at(0);
    EXPECT_TRUE(holds.holds);
    EXPECT_EQ(holds.token, held->token().value());
    ASSERT_TRUE(holds.who);
    EXPECT_EQ(holds.who->pid, getpid());
    EXPECT_EQ(holds.who->command, "the test");
    EXPECT_EQ(holds.who->why, "because");
    EXPECT_FALSE(holds.stale);
    ASSERT_TRUE(holds.ttl_left);
    EXPECT_GT(*holds.ttl_left, 1s);
    const auto& waits = shown.claims.at(1);
    EXPECT_FALSE(waits.holds);
    ASSERT_TRUE(waits.who);
    EXPECT_EQ(waits.who->pid, waiting.process().pid());
    ASSERT_TRUE(waits.since);
    EXPECT_LT(std::chrono::system_clock::now() - *waits.since, patience);
}

TEST_F(processes, a_killed_holder_is_shown_as_stale_until_somebody_cleans_up) {
    const auto locks = connect(url());
    {
        holder victim(folder(), "name", 60s);
        ASSERT_NE(victim.token(), 0U);
        victim.process().kill();
    }
    const auto all = locks.list();
    ASSERT_TRUE(all);
    ASSERT_EQ(all->size(), 1U);
    EXPECT_TRUE(all->front().claims.front().stale);
    EXPECT_THAT(left_overs(folder()), IsEmpty());
}

TEST_F(processes, under_load_never_hold_at_once) {
    std::vector<std::unique_ptr<child_process>> workers;
    journal notes(folder_ / "journal");
    for (int i = 0; i < 4; ++i) {
        workers.push_back(std::make_unique<child_process>(
            std::vector<std::string>{LOCAL_WORKER, "hammer", folder(), (folder_ / "journal").string(), "name",
                                     "0", "10000", "2"},
            process_options{.out = redirect::pipe(), .input_pipe = true}));
    }
    for (auto& each : workers) {
        ASSERT_TRUE(each->read_line(patience));
    }
    EXPECT_TRUE(wait_for([&] { return notes.holds({}).size() > 2000; }, patience));
    for (auto& each : workers) {
        each->close_input();
    }
    for (auto& each : workers) {
        const auto status = each->wait(patience);
        ASSERT_TRUE(status);
        EXPECT_TRUE(status->ok());
    }
    EXPECT_THAT(violations(notes.holds({}), journal_capacity), IsEmpty());
    EXPECT_THAT(left_overs(folder()), IsEmpty());
}

TEST_F(processes, sixty_four_on_one_store_never_hold_at_once_and_are_all_served) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    constexpr int count = 16; // Each of them needs the memory of many.
#else
    constexpr int count = 64;
#endif
    const auto file = (folder_ / "journal").string();
    const journal notes(file);
    std::vector<std::unique_ptr<child_process>> workers;
    for (int i = 0; i < count; ++i) {
        workers.push_back(std::make_unique<child_process>(
            std::vector<std::string>{LOCAL_WORKER, "hammer", folder(), file, "name", "0", "600000", "1"},
            process_options{.out = redirect::pipe(), .input_pipe = true}));
    }
    for (auto& each : workers) {
        ASSERT_TRUE(each->read_line(60s));
    }
    std::set<std::int64_t> served;
    EXPECT_TRUE(wait_for(
        [&] {
            for (const auto& each : notes.holds({})) {
                served.insert(each.pid);
            }
            return served.size() == count;
        },
        60s))
        << served.size() << " of them held it";
    for (auto& each : workers) {
        each->close_input();
    }
    for (auto& each : workers) {
        const auto status = each->wait(60s);
        ASSERT_TRUE(status) << "a worker hangs";
        EXPECT_TRUE(status->ok());
    }
    ASSERT_LE(notes.used(), journal::room());
    EXPECT_THAT(violations(notes.holds({}), journal_capacity), IsEmpty());
    EXPECT_THAT(left_overs(folder()), IsEmpty());
}

} // namespace
} // namespace holdfast::testing
