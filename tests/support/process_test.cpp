#include "support/ports.hpp"
#include "support/process.hpp"
#include "support/shifted_clock.hpp"
#include "support/small_disk.hpp"
#include "support/temp_dir.hpp"
#include "support/wait_for.hpp"

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

TEST(process, says_how_a_child_ended) {
    EXPECT_EQ(run_process({"sh", "-c", "exit 7"}, 10s).status, (exit_status{7, 0}));
    EXPECT_EQ(run_process({"sh", "-c", "kill -TERM $$"}, 10s).status, (exit_status{-1, SIGTERM}));
}

TEST(process, collects_both_streams_and_feeds_input_and_environment) {
    process_options options;
    options.input = "from here";
    options.env = {{"HOLDFAST_PROBE", "seen"}};
    const auto done = run_process({"sh", "-c", "cat; echo $HOLDFAST_PROBE >&2"}, 10s, options);
    EXPECT_EQ(done.out, "from here");
    EXPECT_EQ(done.err, "seen\n");
}

TEST(process, a_command_that_is_missing_throws) {
    EXPECT_THROW(child_process({"/nowhere/to/be/found"}), std::system_error);
}

TEST(process, a_command_that_does_not_end_is_killed_and_reported) {
    EXPECT_THROW(static_cast<void>(run_process({"sleep", "600"}, 50ms)), std::runtime_error);
}

TEST(process, talks_over_pipes_line_by_line) {
    process_options options;
    options.input_pipe = true;
    options.out = redirect::pipe();
    child_process child({"cat"}, options);
    ASSERT_TRUE(child.write_input("one\ntwo\nrest"));
    EXPECT_EQ(child.read_line(10s), "one");
    EXPECT_EQ(child.read_line(10s), "two");
    EXPECT_EQ(child.read_line(10ms), std::nullopt);
    child.close_input();
    EXPECT_EQ(child.read_all(10s), "rest");
    EXPECT_EQ(child.wait(10s), (exit_status{0, 0}));
    EXPECT_FALSE(child.signal(SIGTERM));
}

TEST(process, the_destructor_leaves_nothing_behind) {
    pid_t pid = 0;
    {
        child_process child({"sleep", "600"});
        pid = child.pid();
        EXPECT_TRUE(child.running());
        EXPECT_EQ(child.wait(1ms), std::nullopt);
    }
    EXPECT_TRUE(is_gone(pid));
}

TEST(process, the_destructor_kills_the_group_even_after_its_leader) {
    pid_t grandchild = 0;
    {
        process_options options;
        options.own_group = true;
        options.out = redirect::pipe();
        child_process child({"sh", "-c", "sleep 600 >/dev/null & echo $!"}, options);
        grandchild = std::stoi(child.read_line(10s).value_or("0"));
        ASSERT_GT(grandchild, 0);
        EXPECT_EQ(child.wait(10s), (exit_status{0, 0}));
        EXPECT_FALSE(is_gone(grandchild));
    }
    // Its new parent is somebody else, who reaps it when it gets to it; a zombie has no command line.
    EXPECT_TRUE(wait_for(
        [&] {
            return is_gone(grandchild) ||
                   run_process({"cat", "/proc/" + std::to_string(grandchild) + "/cmdline"}, 10s).out.empty();
        },
        10s));
}

TEST(process, a_child_dies_with_a_test_that_crashes) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t crasher = ::fork();
    if (crasher == 0) {
        // Stands for the test: it starts a child, says which, and is killed before any destructor runs.
        const child_process child({"sleep", "600"});
        const pid_t pid = child.pid();
        [[maybe_unused]] const auto count = ::write(ends[1], &pid, sizeof(pid));
        ::kill(::getpid(), SIGKILL);
    }
    pid_t pid = 0;
    ASSERT_EQ(::read(ends[0], &pid, sizeof(pid)), static_cast<ssize_t>(sizeof(pid)));
    ::close(ends[0]);
    ::close(ends[1]);
    ASSERT_EQ(::waitpid(crasher, nullptr, 0), crasher);
    EXPECT_TRUE(wait_for(
        [&] {
            return is_gone(pid) ||
                   run_process({"cat", "/proc/" + std::to_string(pid) + "/cmdline"}, 10s).out.empty();
        },
        10s));
}

TEST(process, a_child_inherits_no_descriptor_unless_it_is_kept) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const auto probe = "test -e /proc/self/fd/" + std::to_string(ends[1]);
    EXPECT_EQ(run_process({"sh", "-c", probe}, 10s).status.code, 1);
    process_options options;
    options.keep_fds = {ends[1]};
    EXPECT_EQ(run_process({"sh", "-c", probe}, 10s, options).status.code, 0);
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST(process, a_child_starts_with_clean_signals) {
    sigset_t blocked;
    sigset_t before;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGTERM);
    ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
    child_process child({"sleep", "600"});
    ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, &before, nullptr), 0);
    ASSERT_TRUE(child.signal(SIGTERM));
    EXPECT_EQ(child.wait(10s), (exit_status{-1, SIGTERM}));
}

TEST(temp_dir, is_private_and_goes_with_its_content) {
    std::filesystem::path path;
    {
        const temp_dir folder;
        path = folder.path();
        std::filesystem::create_directories(folder / "a/b");
        struct stat facts {};
        ASSERT_EQ(::stat(path.c_str(), &facts), 0);
        EXPECT_EQ(facts.st_mode & 0777U, 0700U);
    }
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(shifted_clock, is_wrong_for_what_was_started_with_it_only_and_jumps_while_it_runs) {
    shifted_clock clock;
    const std::string forever = "while read line; do date +%s; done";
    process_options how;
    how.env = clock.environment();
    how.input_pipe = true;
    how.out = redirect::pipe();
    child_process shell({"sh", "-c", forever}, how);
    const auto ahead = [&] {
        shell.write_input("when?\n");
        const double now = static_cast<double>(std::time(nullptr));
        return std::stod(shell.read_line(10s).value_or("0")) - now;
    };
    EXPECT_NEAR(ahead(), 0, 5);
    clock.jump(1h);
    EXPECT_NEAR(ahead(), 3600, 5);
    clock.jump(-2h);
    EXPECT_NEAR(ahead(), -3600, 5);
    EXPECT_EQ(clock.offset(), -1h);
}

TEST(small_disk, is_full_until_there_is_room_again) {
    const small_disk disk(1);
    const auto write = [&] {
        return static_cast<bool>(std::ofstream(disk.path() / "one") << std::string(8192, 'x') << std::flush);
    };
    EXPECT_TRUE(write());
    std::filesystem::remove(disk.path() / "one");
    disk.fill();
    EXPECT_FALSE(write());
    disk.make_room();
    EXPECT_TRUE(write());
}

TEST(wait_for, is_true_at_once_and_false_after_its_bound) {
    EXPECT_TRUE(wait_for([] { return true; }, 0ms));
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(wait_for([] { return false; }, 20ms));
    EXPECT_GE(std::chrono::steady_clock::now() - start, 20ms);
}

TEST(ports, are_free_and_mostly_different) {
    const auto one = free_port();
    EXPECT_TRUE(wait_for([&] { return free_port() != one; }, 1s));
}

} // namespace
} // namespace holdfast::testing
