// The locks of npm on the same key as ours, by their real clients: they exclude us, and we exclude them.
#include "fixture.hpp"

#include <filesystem>
#include <future>

#include "support/process.hpp"

namespace holdfast::testing {
namespace {

struct npm_lock {
    const char* kind;
    const char* ours; ///< The name of ours that is the key of their "job".
};

class npm : public on_redis, public ::testing::WithParamInterface<npm_lock> {
  protected:
    static std::unique_ptr<child_process> peer() {
        auto made = std::make_unique<child_process>(
            std::vector<std::string>{HOLDFAST_NODE, HOLDFAST_NPM_LOCK, HOLDFAST_NPM_PEERS, GetParam().kind,
                                     std::to_string(server().port()), "job"},
            process_options{.out = redirect::pipe(), .input_pipe = true});
        EXPECT_EQ(made->read_line(30s), "ready");
        return made;
    }

    static std::string ask(child_process& theirs, const std::string& word) {
        EXPECT_TRUE(theirs.write_input(word + "\n"));
        return theirs.read_line(20s).value_or("no answer");
    }
};

TEST_P(npm, their_lock_and_ours_exclude_each_other) {
    auto locks = connect();
    const auto theirs = peer();
    auto held = locks.mutex(GetParam().ours).acquire();
    ASSERT_TRUE(held);
    EXPECT_EQ(ask(*theirs, "try"), "busy");
    EXPECT_EQ(raw_.number({"EXISTS", GetParam().ours}), 1) << "what they do after a failure left ours alone";
    ASSERT_TRUE(held->release());

    EXPECT_EQ(ask(*theirs, "try"), "try");
    EXPECT_EQ(code_of(locks.mutex(GetParam().ours).try_acquire()), errc::busy);
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex(GetParam().ours).acquire(); });
    ASSERT_TRUE(somebody_waits(GetParam().ours));
    EXPECT_EQ(ask(*theirs, "extend"), "extend") << "their value is as they left it while ours wait";
    EXPECT_EQ(waiter.wait_for(50ms), std::future_status::timeout);
    EXPECT_EQ(ask(*theirs, "release"), "release");
    EXPECT_TRUE(waiter.get());
}

TEST_P(npm, their_waiter_takes_what_ours_released) {
    auto locks = connect();
    const auto theirs = peer();
    auto held = locks.mutex(GetParam().ours).acquire();
    ASSERT_TRUE(held);
    ASSERT_TRUE(theirs->write_input("acquire\n"));
    EXPECT_FALSE(theirs->read_line(300ms)) << "it got a lock that ours holds";
    ASSERT_TRUE(held->release());
    EXPECT_EQ(theirs->read_line(20s), "acquire");
    EXPECT_EQ(code_of(locks.mutex(GetParam().ours).try_acquire()), errc::busy);
    EXPECT_EQ(ask(*theirs, "release"), "release");
    EXPECT_TRUE(locks.mutex(GetParam().ours).try_acquire());
}

INSTANTIATE_TEST_SUITE_P(each, npm,
                         ::testing::Values(npm_lock{"redlock4", "job"}, npm_lock{"redlock5", "job"},
                                           npm_lock{"redis-semaphore", "mutex:job"}),
                         [](const auto& each) {
                             return std::string(each.param.kind == std::string_view("redis-semaphore")
                                                    ? "redis_semaphore"
                                                    : each.param.kind);
                         });

} // namespace
} // namespace holdfast::testing
