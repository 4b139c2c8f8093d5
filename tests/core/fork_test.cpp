// A fork while other threads of the parent are inside the library: whatever latch they hold then stays locked
// in the child for ever, so nothing that the child asks of what it inherited may take one.
#include <array>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/holdfast.hpp>

#include "contract/reference_store.hpp"
#include "core/client.hpp"
#include "support/sanitizers.hpp"

#if !defined(HOLDFAST_ALLOCATOR_IS_NOT_FOR_FORKS)

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class fork_in_the_middle : public ::testing::Test {
  protected:
    /// Forks again and again while two threads do `busy`. The child has to come to the end of `look`.
    static void expect_ends(const std::function<void()>& busy, const std::function<bool()>& look) {
        std::atomic<bool> over{false};
        std::vector<std::jthread> others;
        for (int i = 0; i < 2; ++i) {
            others.emplace_back([&] {
                while (!over) {
                    busy();
                }
            });
        }
        int ended = 0;
        for (int round = 0; round < rounds; ++round) {
            const pid_t child = fork();
            ASSERT_GE(child, 0);
            if (child == 0) {
                alarm(5);
                _exit(look() ? 0 : 1);
            }
            int status = 0;
            ASSERT_EQ(waitpid(child, &status, 0), child);
            over = status != 0;
            ASSERT_FALSE(WIFSIGNALED(status)) << "round " << round << ": ended by signal " << WTERMSIG(status)
                                              << " (14: a call did not return)";
            ASSERT_EQ(WEXITSTATUS(status), 0);
            ++ended;
        }
        over = true;
        EXPECT_EQ(ended, rounds);
    }

    static constexpr int rounds = 60;
    reference_engine engine;
    const locks by{core::client::adopt(engine.connect(),
                                       "reference:", {.ttl = 10s, .op_timeout = 60s, .release_timeout = 60s})
                       .value()};
};

TEST_F(fork_in_the_middle, a_hold_that_others_look_at_is_lost_at_once) {
    const auto mine = std::make_unique<held>(by.mutex("x").acquire().value());
    expect_ends([&] { static_cast<void>(mine->lost()); },
                [&] {
                    return mine->valid_for() == 0ns && mine->reason() == loss_reason::forked &&
                           mine->lost().stop_requested() && !mine->release();
                });
    EXPECT_GT(mine->valid_for(), 0ns);
}

TEST_F(fork_in_the_middle, a_mutex_that_others_lock_is_unlocked_without_them) {
    auto face = by.shared_mutex("x");
    face.lock_shared();
    const current_hold before = face.current_shared();
    expect_ends([&] { static_cast<void>(face.current_shared().valid_for()); },
                [&] {
                    face.unlock_shared();
                    return before.valid_for() == 0ns && before.lost().stop_requested() &&
                           before.reason() == loss_reason::forked && !face.current_shared();
                });
    EXPECT_GT(before.valid_for(), 0ns);
    face.unlock_shared();
}

TEST_F(fork_in_the_middle, a_connection_that_others_use_makes_faces) {
    expect_ends([&] { static_cast<void>(by.mutex("x")); },
                [&] { return by.mutex("y").acquire().error().code() == errc::misuse; });
}

} // namespace
} // namespace holdfast::testing

#endif
