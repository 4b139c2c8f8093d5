// A segment that is cut short while it is used: nobody dies of it, nobody hangs, everybody is told.
#include "local/support.hpp"

#include "local/futex.hpp"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <random>

#include <gmock/gmock.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class cut_segment : public ::testing::Test {
  protected:
    std::string folder() const { return folder_.path().string(); }
    std::filesystem::path file() const { return folder_ / local::segment_file; }

    temp_dir folder_{"holdfast-cut"};
};

TEST_F(cut_segment, is_noticed_at_once_and_refused_by_name_until_it_is_deleted) {
    const auto locks = connect("local:" + folder(), {.ttl = 24h, .op_timeout = 50ms});
    auto held = locks.mutex("name").acquire();
    auto shared = locks.shared_mutex("shared").acquire_shared();
    ASSERT_TRUE(held && shared);
    const auto lost = held->lost();
    std::filesystem::resize_file(file(), 100000);
    ASSERT_TRUE(wait_for([&] { return lost.stop_requested(); }, patience));
    EXPECT_TRUE(held->is_lost() && shared->is_lost());
    const auto refused = locks.mutex("name").acquire();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), errc::unavailable);
    EXPECT_THAT(refused.error().message(), AllOf(HasSubstr(file().string()), HasSubstr("100000 bytes")));
    EXPECT_FALSE(locks.list());
    std::filesystem::remove(file());
    EXPECT_TRUE(locks.mutex("name").try_acquire_for(patience));
}

TEST_F(cut_segment, is_left_without_hanging_where_nobody_can_sleep_on_two_words) {
    local::pretend_no_waitv(true);
    {
        const auto locks = connect("local:" + folder(), {.ttl = 24h});
        auto held = locks.mutex("name").acquire();
        ASSERT_TRUE(held);
        const auto lost = held->lost();
        std::filesystem::resize_file(file(), 100000);
        EXPECT_TRUE(wait_for([&] { return lost.stop_requested(); }, patience));
    }
    local::pretend_no_waitv(false);
}

TEST_F(cut_segment, who_touches_it_first_loses_what_it_holds_and_goes_on) {
    child_process cut({LOCAL_WORKER, "be-cut", folder(), "1"}, {.out = redirect::pipe()});
    EXPECT_EQ(cut.read_line(patience).value_or(""), "lost");
    EXPECT_THAT(cut.read_line(patience).value_or(""),
                AllOf(HasSubstr(file().string()), HasSubstr("damaged")));
    EXPECT_THAT(cut.read_line(patience).value_or(""), HasSubstr("'name'"));
    const auto status = cut.wait(patience);
    ASSERT_TRUE(status);
    EXPECT_TRUE(status->ok());
}

TEST_F(cut_segment, ends_a_process_that_does_not_want_to_catch_it) {
    child_process cut({LOCAL_WORKER, "be-cut", folder(), "0"}, {.out = redirect::pipe()});
    const auto status = cut.wait(patience);
    ASSERT_TRUE(status);
    EXPECT_FALSE(status->ok()); // By SIGBUS; a sanitizer has its own way of saying so.
}

TEST_F(cut_segment, under_load_kills_and_hangs_nobody) {
    const int rounds = fuzz_rounds(6);
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    for (int round = 0; round < rounds; ++round) {
        // Anywhere, but more often where things are.
        const std::uint64_t most =
            random() % 2 == 0 ? sizeof(local::segment_layout) : offsetof(local::segment_layout, names);
        const std::uint64_t size = random() % most;
        SCOPED_TRACE("round " + std::to_string(round) + ", " + std::to_string(size) + " bytes");
        std::filesystem::remove(file());
        std::vector<std::unique_ptr<child_process>> workers;
        for (const char* const watches : {"1", "0"}) {
            workers.push_back(std::make_unique<child_process>(
                std::vector<std::string>{LOCAL_WORKER, "endure", folder(), "4", watches},
                process_options{.out = redirect::pipe()}));
        }
        for (const auto& each : workers) {
            ASSERT_EQ(each->read_line(patience).value_or(""), "going");
        }
        std::filesystem::resize_file(file(), size);
        for (const auto& each : workers) {
            EXPECT_THAT(each->read_line(patience).value_or("nothing"),
                        AllOf(StartsWith("refused "), HasSubstr(file().string())));
            const auto status = each->wait(patience);
            ASSERT_TRUE(status) << "it hangs";
            EXPECT_TRUE(status->ok()) << "code " << status->code << " signal " << status->signal;
        }
    }
}

/// A page of somebody else's file, of which nothing is left.
void touch_a_page_beyond_the_end(const std::string& file) {
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* const page = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    *static_cast<volatile char*>(page) = 1;
}

/// What ended a child that did this with a segment open.
template <typename Deed>
int end_of_child(const std::string& folder, Deed deed) {
    const pid_t child = fork();
    if (child == 0) {
        const auto locks = connect("local:" + folder);
        const auto held = locks.mutex("name").acquire();
        deed();
        _exit(0);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
}

TEST_F(cut_segment, leaves_the_bus_errors_of_others_to_others) {
    const std::string foreign = folder_ / "foreign";
    const bool as_ever = [&] { // A sanitizer exits in its own handler, with a code of its own.
        const pid_t child = fork();
        if (child == 0) {
            touch_a_page_beyond_the_end(foreign);
            _exit(0);
        }
        int status = 0;
        EXPECT_EQ(waitpid(child, &status, 0), child);
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS;
    }();
    const int faulted = end_of_child(folder(), [&] { touch_a_page_beyond_the_end(foreign); });
    EXPECT_EQ(WIFSIGNALED(faulted) && WTERMSIG(faulted) == SIGBUS, as_ever);
    EXPECT_FALSE(WIFEXITED(faulted) && WEXITSTATUS(faulted) == 0);
    const int sent = end_of_child(folder(), [] { kill(getpid(), SIGBUS); });
    EXPECT_EQ(WIFSIGNALED(sent) && WTERMSIG(sent) == SIGBUS, as_ever);
    EXPECT_FALSE(WIFEXITED(sent) && WEXITSTATUS(sent) == 0);
}

TEST_F(cut_segment, leaves_them_to_the_handler_that_was_there_before) {
    // In a program of its own: this one may have opened a segment long ago.
    for (const std::string how : {"plain", "info", "ignored"}) {
        child_process worker({LOCAL_WORKER, "bus", folder(), how}, {.out = redirect::pipe()});
        EXPECT_EQ(worker.read_line(patience).value_or(""), how == "ignored" ? "went on" : "handled");
        const auto status = worker.wait(patience);
        ASSERT_TRUE(status);
        EXPECT_TRUE(status->ok()) << how << ": code " << status->code << " signal " << status->signal;
    }
}

} // namespace
} // namespace holdfast::testing
