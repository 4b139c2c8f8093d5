// Sessions without a lease: options::ttl = until_death.
#include "local/support.hpp"

#include <csignal>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class without_lease : public ::testing::Test {
  protected:
    std::string folder() const { return folder_.path().string(); }
    std::string url() const { return "local:" + folder(); }
    static constexpr auto no_lease = 0ms; ///< As the worker understands it.

    temp_dir folder_{"holdfast-until-death"};
};

TEST_F(without_lease, a_hold_says_that_it_lasts_until_death) {
    const auto locks = connect(url(), {.ttl = until_death});
    auto alone = locks.mutex("alone").acquire();
    auto shared = locks.shared_mutex("shared").acquire_shared();
    ASSERT_TRUE(alone && shared);
    for (const auto* each : {&*alone, &*shared}) {
        EXPECT_EQ(each->valid_for(), until_death);
        EXPECT_FALSE(each->is_lost());
        EXPECT_FALSE(each->lost().stop_requested());
        EXPECT_EQ(each->valid_for(), until_death) << "also once its loss is watched";
    }
    const auto all = locks.list();
    ASSERT_TRUE(all);
    ASSERT_EQ(all->size(), 2U);
    for (const auto& each : *all) {
        EXPECT_EQ(each.claims.front().ttl_left, until_death);
        EXPECT_FALSE(each.claims.front().stale);
    }
    EXPECT_TRUE(alone->release());
    EXPECT_TRUE(shared->release());
    EXPECT_TRUE(locks.mutex("alone").try_acquire());
}

TEST_F(without_lease, a_stopped_holder_keeps_its_hold_and_goes_on_with_it) {
    holder stopped(folder(), "name", no_lease);
    ASSERT_NE(stopped.token(), 0U);
    stopped.process().signal(SIGSTOP);
    // Ten of the waiter's own leases: nothing of its doing ends what has none.
    const auto locks = connect(url(), {.ttl = 100ms});
    EXPECT_EQ(locks.mutex("name").try_acquire_for(1s).error().code(), errc::timed_out);
    const auto shown = locks.show("name");
    ASSERT_TRUE(shown);
    EXPECT_FALSE(shown->claims.front().stale);
    EXPECT_EQ(shown->claims.front().ttl_left, until_death);
    stopped.process().signal(SIGCONT);
    EXPECT_EQ(stopped.release(), "released");
    EXPECT_TRUE(locks.mutex("name").try_acquire_for(patience));
}

TEST_F(without_lease, a_death_frees_at_once_what_a_stopped_process_held) {
    holder victim(folder(), "name", no_lease);
    const auto token = victim.token();
    ASSERT_NE(token, 0U);
    victim.process().signal(SIGSTOP);
    holder next(folder(), "name", no_lease);
    const auto locks = connect(url());
    ASSERT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
    victim.process().kill();
    EXPECT_GT(next.token(), token);
    EXPECT_EQ(next.release(), "released");
}

TEST_F(without_lease, a_waiter_whose_process_dies_is_left_out) {
    const auto locks = connect(url(), {.ttl = until_death});
    auto held = locks.mutex("name").acquire();
    ASSERT_TRUE(held);
    holder victim(folder(), "name", no_lease);
    ASSERT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
    victim.process().kill();
    holder next(folder(), "name", no_lease);
    ASSERT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
    EXPECT_TRUE(held->release());
    EXPECT_NE(next.token(), 0U);
}

TEST_F(without_lease, a_forked_child_does_not_keep_what_its_dead_parent_held) {
    int report[2];
    ASSERT_EQ(pipe(report), 0);
    child_process parent({LOCAL_WORKER, "forking_hold", folder(), "name", std::to_string(report[1]), "0"},
                         {.keep_fds = {report[1]}});
    close(report[1]);
    char pid[32] = {};
    ASSERT_GT(read(report[0], pid, sizeof pid - 1), 0);
    close(report[0]);
    const auto locks = connect(url());
    EXPECT_TRUE(locks.mutex("name").try_acquire_for(patience));
    const auto child = static_cast<pid_t>(std::stol(pid));
    EXPECT_FALSE(is_gone(child)) << "it must have been there to show anything";
    ::kill(child, SIGKILL);
}

TEST_F(without_lease, a_break_takes_it_away) {
    const auto locks = connect(url(), {.ttl = until_death});
    auto held = locks.mutex("name").acquire();
    ASSERT_TRUE(held);
    const auto lost = held->lost();
    EXPECT_EQ(locks.break_holds("name").value(), 1U);
    EXPECT_TRUE(wait_for([&] { return lost.stop_requested(); }, patience));
    EXPECT_EQ(held->valid_for(), 0ns);
    EXPECT_EQ(held->reason(), loss_reason::broken);
    EXPECT_TRUE(locks.mutex("name").try_acquire());
}

} // namespace
} // namespace holdfast::testing
