// The promises between processes, on one clock: every history of turns is checked for exclusion and for its
// tokens.
#include "contract/world.hpp"

#include <algorithm>
#include <csignal>
#include <map>
#include <sstream>

#include <holdfast/holdfast.hpp>

#include "support/process.hpp"
#include "support/shifted_clock.hpp"
#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

struct turn {
    std::int64_t called = 0;
    std::int64_t acquired = 0;
    std::int64_t released = 0;
    std::uint64_t token = 0;
};

class processes : public ::testing::TestWithParam<world_maker> {
  protected:
    void SetUp() override { world_ = GetParam().make(); }

    world& here() { return *world_; }
    static std::string fresh() {
        return std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()).substr(0, 60);
    }
    std::vector<std::string> worker(const std::string& mode, std::uint32_t permits,
                                    std::chrono::nanoseconds ttl) {
        return {HOLDFAST_CONTRACT_WORKER,
                mode,
                world_->url(),
                fresh(),
                std::to_string(permits),
                std::to_string(std::chrono::ceil<std::chrono::milliseconds>(ttl).count())};
    }
    std::vector<turn> run_turns(std::uint32_t permits, int count, int threads, int turns);

  private:
    std::unique_ptr<world> world_;
};

std::vector<turn> processes::run_turns(std::uint32_t permits, int count, int threads, int turns) {
    std::vector<std::unique_ptr<child_process>> children;
    for (int i = 0; i < count; ++i) {
        auto argv = worker("turns", permits, 10s);
        argv.push_back(std::to_string(threads));
        argv.push_back(std::to_string(turns));
        children.push_back(std::make_unique<child_process>(argv, process_options{.out = redirect::pipe()}));
    }
    std::vector<turn> all;
    for (auto& each : children) {
        std::istringstream lines(each->read_all(60s));
        for (turn one; lines >> one.called >> one.acquired >> one.released >> one.token;) {
            all.push_back(one);
        }
        const auto status = each->wait(10s);
        EXPECT_TRUE(status && status->ok());
    }
    EXPECT_EQ(all.size(), static_cast<std::size_t>(count * threads * turns));
    return all;
}

/// Invariants of a history without faults: tokens are unique; who came wholly later has the higher token;
/// never more than `capacity` at a time. Returns the most that ever held at once.
int check_history(std::vector<turn> all, int capacity) {
    std::sort(all.begin(), all.end(), [](const turn& a, const turn& b) { return a.token < b.token; });
    std::int64_t latest_start = 0;
    std::map<std::int64_t, int>
        changes; // At one instant an end counts before a start: both clocks were read outside.
    for (std::size_t i = 0; i < all.size(); ++i) {
        EXPECT_TRUE(i == 0 || all[i - 1].token < all[i].token)
            << "token " << all[i].token << " was given twice";
        // Everybody with a lower token had started before our end. Permits are granted side by side, and the
        // news of one grant may overtake another's: of them only the call is certain to come before the
        // grant.
        EXPECT_LE(latest_start, all[i].released) << "token " << all[i].token << " is out of order";
        latest_start = std::max(latest_start, capacity == 1 ? all[i].acquired : all[i].called);
        changes[all[i].acquired] += 1;
        changes[all[i].released] -= 1;
    }
    int inside = 0;
    int most = 0;
    for (const auto& [at, change] : changes) {
        inside += change;
        most = std::max(most, inside);
    }
    EXPECT_LE(most, capacity) << "more than the capacity held at once";
    return most;
}

TEST_P(processes, a_mutex_excludes_and_its_tokens_rise) {
    EXPECT_EQ(check_history(run_turns(0, 4, 2, 25), 1), 1);
}

TEST_P(processes, permits_are_shared_and_never_exceeded) {
    EXPECT_GE(check_history(run_turns(3, 4, 3, 15), 3), 2) << "permits were never used side by side";
}

TEST_P(processes, a_killed_holder_is_succeeded) {
    child_process holder(worker("hold", 0, here().short_ttl()),
                         {.out = redirect::pipe(), .input_pipe = true});
    ASSERT_EQ(holder.read_line(15s).value_or("nothing").substr(0, 5), "held ");
    child_process next(worker("hold", 0, 10s), {.out = redirect::pipe(), .input_pipe = true});
    EXPECT_FALSE(next.read_line(100ms)) << "two hold at once";
    holder.signal(SIGKILL);
    EXPECT_EQ(next.read_line(20s).value_or("nothing").substr(0, 5), "held ");
    next.write_input("\n");
    EXPECT_EQ(next.read_line(10s), "released");
}

TEST_P(processes, a_holder_stopped_beyond_its_ttl_knows_on_resume_and_harms_nobody) {
    child_process stopped(worker("hold", 0, here().short_ttl()),
                          {.out = redirect::pipe(), .input_pipe = true});
    const auto first = stopped.read_line(15s).value_or("nothing");
    ASSERT_EQ(first.substr(0, 5), "held ");
    child_process next(worker("hold", 0, 10s), {.out = redirect::pipe(), .input_pipe = true});
    stopped.signal(SIGSTOP);
    const auto second = next.read_line(20s).value_or("nothing");
    ASSERT_EQ(second.substr(0, 5), "held ") << second;
    EXPECT_GT(std::stoull(second.substr(5)), std::stoull(first.substr(5)));
    stopped.signal(SIGCONT);
    EXPECT_EQ(stopped.read_line(10s).value_or("nothing").substr(0, 5), "lost ");
    stopped.write_input("\n");
    EXPECT_EQ(stopped.read_line(10s), "not released");
    // The successor's hold was left alone.
    const auto other = connect(here().url());
    EXPECT_EQ(other.mutex(fresh()).try_acquire().error().code(), errc::busy);
    next.write_input("\n");
    EXPECT_EQ(next.read_line(10s), "released");
    EXPECT_TRUE(other.mutex(fresh()).try_acquire_for(5s));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // Which no clock can be put in front of.
/// A machine that is suspended: nothing on it runs, CLOCK_MONOTONIC stands still and CLOCK_BOOTTIME goes on.
TEST_P(processes, a_holder_suspended_beyond_its_ttl_knows_at_its_first_check) {
    if (GetParam().name == "local") {
        GTEST_SKIP() << "its users share one machine: see the next test";
    }
    shifted_clock monotonic("monotonic");
    child_process suspended(worker("check", 0, here().short_ttl()),
                            {.env = monotonic.environment(), .out = redirect::pipe(), .input_pipe = true});
    const auto first = suspended.read_line(15s).value_or("nothing");
    ASSERT_EQ(first.substr(0, 5), "held ");
    suspended.write_input("\n");
    ASSERT_EQ(suspended.read_line(15s), "valid");
    child_process next(worker("hold", 0, 10s), {.out = redirect::pipe(), .input_pipe = true});
    const auto begun = now(clock_source::monotonic);
    suspended.signal(SIGSTOP);
    const auto second = next.read_line(20s).value_or("nothing");
    ASSERT_EQ(second.substr(0, 5), "held ") << second;
    EXPECT_GT(std::stoull(second.substr(5)), std::stoull(first.substr(5)));
    // The first thing that it does afterwards is the check: no renewal can have told it, and no timer of
    // CLOCK_MONOTONIC would.
    suspended.write_input("\n");
    monotonic.jump(begun - now(clock_source::monotonic));
    suspended.signal(SIGCONT);
    EXPECT_EQ(suspended.read_line(15s).value_or("nothing").substr(0, 5), "lost ");
    suspended.close_input();
    EXPECT_EQ(suspended.read_line(15s), "not released");
    EXPECT_EQ(connect(here().url()).mutex(fresh()).try_acquire().error().code(), errc::busy);
    next.write_input("\n");
    EXPECT_EQ(next.read_line(15s), "released");
}

TEST_P(processes, of_a_machine_that_was_suspended_all_users_go_on_where_they_were) {
    if (GetParam().name != "local") {
        GTEST_SKIP() << "its users are on many machines: see the test before";
    }
    shifted_clock boottime("boottime");
    const process_options on_it{.env = boottime.environment(), .out = redirect::pipe(), .input_pipe = true};
    child_process holder(worker("check", 0, 10s), on_it);
    ASSERT_EQ(holder.read_line(15s).value_or("nothing").substr(0, 5), "held ");
    child_process next(worker("hold", 0, 10s), on_it);
    const auto locks = connect(here().url());
    ASSERT_TRUE(wait_for([&] { return locks.show(fresh()).value().claims.size() == 2; }, 15s));
    boottime.jump(1h);
    child_process late(worker("hold", 0, 10s), on_it); // It looks at the line as it is now, too.
    ASSERT_TRUE(wait_for([&] { return locks.show(fresh()).value().claims.size() == 3; }, 15s));
    holder.write_input("\n");
    EXPECT_EQ(holder.read_line(15s), "valid");
    EXPECT_FALSE(next.read_line(1500ms))
        << "its lease was over before its holder could renew it"; // It looks every second.
    holder.close_input();
    EXPECT_EQ(holder.read_line(15s), "released");
    for (child_process* each : {&next, &late}) {
        EXPECT_EQ(each->read_line(15s).value_or("nothing").substr(0, 5), "held ");
        each->write_input("\n");
        EXPECT_EQ(each->read_line(15s), "released");
    }
}
#endif

std::vector<world_maker> real_worlds() {
    auto worlds = all_worlds();
    std::erase_if(worlds, [](const world_maker& each) { return each.name == "reference"; });
    return worlds;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(processes);
INSTANTIATE_TEST_SUITE_P(every, processes, ::testing::ValuesIn(real_worlds()), world_name);

} // namespace
} // namespace holdfast::testing
