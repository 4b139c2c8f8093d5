// The end of a holder is noticed from the kernel in whatever way it comes, never by the lease: every lease
// here is longer than the test.
#include "local/support.hpp"

#include <csignal>
#include <fstream>
#include <map>

#include <sys/stat.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class deaths : public ::testing::Test {
  protected:
    std::string folder() const { return folder_.path().string(); }
    std::string url() const { return "local:" + folder(); }
    static constexpr auto long_lease = 600s;
    static std::string lease_ms() { return std::to_string(std::chrono::milliseconds(long_lease).count()); }

    /// The holder's process in a PID namespace of its own, as its first; its threads are told by other
    /// numbers the more others were there before.
    static std::vector<std::string> in_own_namespace(const std::vector<std::string>& argv, int before = 0) {
        std::vector<std::string> command{"unshare", "--pid", "--fork", "--kill-child"};
        if (geteuid() != 0) {
            command.insert(command.end(), {"--user", "--map-root-user"});
        }
        constexpr auto fork_and_become =
            "n=$1; shift; while [ $n -gt 0 ]; do (:); n=$((n - 1)); done; exec \"$@\"";
        command.insert(command.end(), {"sh", "-c", fork_and_become, "sh", std::to_string(before)});
        command.insert(command.end(), argv.begin(), argv.end());
        return command;
    }
    static pid_t child_of(pid_t parent) {
        std::ifstream file("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) +
                           "/children");
        pid_t child = 0;
        file >> child;
        return child;
    }

    temp_dir folder_{"holdfast-deaths"};
};

TEST_F(deaths, of_one_in_another_pid_namespace_is_noticed_and_taken_for_nobody_elses) {
    const auto tried = run_process(in_own_namespace({"true"}), patience, {.err = redirect::pipe()});
    if (!tried.status.ok()) {
        GTEST_SKIP() << "no PID namespace can be made here: " << tried.err;
    }
    // Both are process 1 and their stores' threads have the same number too, each in its own namespace.
    holder victim(in_own_namespace({LOCAL_WORKER, "hold", folder(), "first", lease_ms()}));
    holder other(in_own_namespace({LOCAL_WORKER, "hold", folder(), "second", lease_ms()}));
    const auto token = victim.token();
    ASSERT_NE(token, 0U);
    ASSERT_NE(other.token(), 0U);
    const auto locks = connect(url(), {.ttl = long_lease});
    const auto shown = locks.list();
    ASSERT_TRUE(shown);
    for (const auto& each : *shown) {
        EXPECT_EQ(each.claims.front().who->pid, 1) << "it was not in a namespace of its own";
        EXPECT_FALSE(each.claims.front().stale);
    }
    const pid_t inside = child_of(victim.process().pid());
    ASSERT_GT(inside, 0);
    {
        // In whose namespace nobody has the number that the holder's thread has in its own.
        holder one_of_many(in_own_namespace({LOCAL_WORKER, "hold", folder(), "third", lease_ms()}, 100));
        ASSERT_NE(one_of_many.token(), 0U);
        holder waits(in_own_namespace({LOCAL_WORKER, "hold", folder(), "third", lease_ms()}));
        EXPECT_TRUE(wait_for([&] { return claims_in(locks, "third") == 2; }, patience));
        EXPECT_EQ(one_of_many.release(), "released");
        EXPECT_NE(waits.token(), 0U);
    }
    holder next(in_own_namespace({LOCAL_WORKER, "hold", folder(), "first", lease_ms()}));
    ASSERT_TRUE(wait_for([&] { return claims_in(locks, "first") == 2; }, patience));
    ASSERT_EQ(::kill(inside, SIGKILL), 0);
    EXPECT_GT(next.token(), token);
    EXPECT_EQ(locks.mutex("second").try_acquire().error().code(), errc::busy);
    EXPECT_EQ(other.release(), "released");
    EXPECT_EQ(next.release(), "released");
}

TEST_F(deaths, a_process_that_becomes_another_program_holds_nothing_any_more) {
    holder changing({LOCAL_WORKER, "hold-exec", folder(), "name", lease_ms()});
    ASSERT_NE(changing.token(), 0U);
    holder next(folder(), "name", long_lease);
    const auto locks = connect(url());
    ASSERT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
    changing.process().write_input("\n");
    EXPECT_NE(next.token(), 0U);
    EXPECT_TRUE(changing.process().running()) << "it must go on to show anything";
    EXPECT_EQ(next.release(), "released");
    EXPECT_EQ(left_overs(folder()), "");
}

TEST_F(deaths, of_the_thread_that_acquired_ends_nothing) {
    const auto locks = connect(url(), {.ttl = long_lease});
    auto by_own_way = locks.mutex("waited by its own way"); // From the third time on.
    for (int turn = 0; turn < 3; ++turn) {
        by_own_way.acquire().value().release().value();
    }
    std::map<std::string, held> holds;
    const auto wait_for_it = [&](mutex face) {
        auto before = face.acquire().value();
        std::jthread lets_go([&] {
            EXPECT_TRUE(wait_for([&] { return claims_in(locks, face.name().bytes()) == 2; }, patience));
            EXPECT_TRUE(before.release());
        });
        holds.emplace(face.name().bytes(), face.acquire().value());
    };
    std::thread short_lived([&] {
        holds.emplace("alone", locks.mutex("alone").acquire().value());
        holds.emplace("shared", locks.shared_mutex("shared").acquire_shared().value());
        wait_for_it(locks.mutex("waited"));
        wait_for_it(by_own_way);
    });
    short_lived.join();
    EXPECT_EQ(holds.size(), 4U);
    for (auto& [name, each] : holds) {
        const auto taken = locks.mutex(name).try_acquire();
        EXPECT_EQ(taken ? errc{} : taken.error().code(), errc::busy) << name;
        EXPECT_FALSE(locks.show(name)->claims.front().stale) << name;
        EXPECT_FALSE(each.is_lost()) << name;
        EXPECT_TRUE(each.release()) << name;
    }
}

TEST_F(deaths, of_one_that_is_stopped_is_noticed) {
    holder victim(folder(), "name", long_lease);
    ASSERT_NE(victim.token(), 0U);
    victim.process().signal(SIGSTOP);
    holder next(folder(), "name", long_lease);
    const auto locks = connect(url());
    ASSERT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
    victim.process().kill();
    EXPECT_NE(next.token(), 0U);
}

#if !defined(__SANITIZE_ADDRESS__) &&                                                                        \
    !defined(__SANITIZE_THREAD__) // Which dump no core, and much if they did.
TEST_F(deaths, of_one_that_dumps_core_is_noticed_when_the_core_is_written) {
    holder victim({LOCAL_WORKER, "hold-dump", folder(), "name", lease_ms(), "16"});
    ASSERT_NE(victim.token(), 0U);
    holder next(folder(), "name", long_lease);
    const auto locks = connect(url());
    ASSERT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
    victim.process().write_input("\n");
    ASSERT_TRUE(victim.process().read_line(patience)); // Now it dumps.
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_NE(next.token(), 0U);
    const auto passed = std::chrono::steady_clock::now() - begun;
    const auto status = victim.process().wait(patience);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->signal, SIGABRT);
    RecordProperty("ms", std::to_string(passed / 1ms));
    EXPECT_LT(passed, 60s);
    EXPECT_EQ(next.release(), "released");
}
#endif

} // namespace
} // namespace holdfast::testing
