// Asynchronous acquisition on every store: as many waiters as one likes, on one thread of the library's.
#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <vector>

#include "contract/face_test.hpp"
#include "support/detached.hpp"
#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(NDEBUG)
constexpr int many = 1'000;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr int many = 1'000;
#else
constexpr int many = 10'000;
#endif
#else
constexpr int many = 10'000;
#endif
constexpr int on_one_name = 300;

std::size_t threads_now() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
        ++count;
    }
    return count;
}

struct score {
    std::atomic<int> held{0};
    std::atomic<int> failed{0};
    std::atomic<int> released{0};
    std::atomic<int> inside{0};
    std::atomic<bool> overlapped{false};
    std::mutex guard;
    std::string why; ///< Of the first that failed.
};

detached take_and_give_back(mutex face, score& all) {
    auto outcome = co_await face.acquire_async();
    if (!outcome) {
        const std::scoped_lock locked(all.guard);
        all.why = all.why.empty() ? outcome.error().message() : all.why;
        all.failed.fetch_add(1);
        co_return;
    }
    all.overlapped = all.overlapped || all.inside.fetch_add(1) != 0;
    all.held.fetch_add(1);
    all.inside.fetch_sub(1);
    if (co_await release_async(std::move(*outcome))) {
        all.released.fetch_add(1);
    }
}

class async_faces : public face_test {};

TEST_P(async_faces, waiters_on_one_name_take_turns_without_a_thread_each) {
    auto blocker = connect({.ttl = 60s}).mutex(fresh());
    auto first = std::make_unique<held>(blocker.acquire().value());
    const auto ours = connect({.ttl = 60s});
    const auto before = threads_now();
    score all;
    for (int index = 0; index < on_one_name; ++index) {
        take_and_give_back(ours.mutex(fresh()), all);
    }
    ASSERT_TRUE(wait_for([&] { return in_line(ours, fresh()) == on_one_name + 1; }, 60s)) << all.why;
    EXPECT_LE(threads_now(), before + 12) << "a bounded number, whatever the number of waiters";
    EXPECT_EQ(all.held.load(), 0);
    first.reset();
    EXPECT_TRUE(wait_for([&] { return all.released.load() == on_one_name; }, 60s))
        << all.held.load() << " held, " << all.released.load() << " released; " << all.why;
    EXPECT_FALSE(all.overlapped.load());
    EXPECT_EQ(all.failed.load(), 0) << all.why;
    EXPECT_EQ(in_line(ours, fresh()), 0U);
}

TEST_P(async_faces, coroutines_wait_for_many_names_without_a_thread_each) {
    const auto theirs = connect({.ttl = 60s, .op_timeout = 60s});
    std::vector<held> taken;
    taken.reserve(many);
    for (int index = 0; index < many; ++index) {
        taken.push_back(theirs.mutex(fresh(std::to_string(index))).acquire().value());
    }
    const auto ours = connect({.ttl = 60s, .op_timeout = 60s});
    const auto before = threads_now();
    std::vector<std::unique_ptr<score>> scores;
    for (int index = 0; index < many; ++index) {
        scores.push_back(std::make_unique<score>());
        take_and_give_back(ours.mutex(fresh(std::to_string(index))), *scores.back());
    }
    const auto waiting = [&] { return in_line(ours, fresh(std::to_string(many - 1))) == 2; };
    ASSERT_TRUE(wait_for(waiting, 60s)) << scores.back()->why;
    EXPECT_LE(threads_now(), before + 12);
    for (const auto& each : scores) {
        ASSERT_EQ(each->held.load(), 0) << "while its name is held";
        ASSERT_EQ(each->failed.load(), 0) << each->why;
    }
    taken.clear();
    const auto all_done = [&] {
        return std::all_of(scores.begin(), scores.end(),
                           [](const auto& each) { return each->released.load() == 1; });
    };
    EXPECT_TRUE(wait_for(all_done, 60s));
}

TEST_P(async_faces, a_stop_request_takes_one_waiter_out_of_the_line) {
    auto blocker = connect().mutex(fresh());
    auto first = blocker.acquire().value();
    auto face = connect().mutex(fresh());
    std::stop_source stop;
    std::atomic<bool> cancelled{false};
    std::atomic<bool> other{false};
    face.async_acquire({.stop = stop.get_token()}, [&](const result<held>& outcome) {
        cancelled = !outcome && outcome.error().code() == errc::cancelled;
    });
    face.async_acquire({}, [&](const result<held>& outcome) { other = outcome.has_value(); });
    ASSERT_TRUE(wait_for([&] { return in_line(connect(), fresh()) == 3; }, 20s));
    stop.request_stop();
    ASSERT_TRUE(wait_for([&] { return cancelled.load(); }, 20s));
    EXPECT_EQ(in_line(connect(), fresh()), 2U);
    EXPECT_TRUE(first.release());
    EXPECT_TRUE(wait_for([&] { return other.load(); }, 20s));
}

INSTANTIATE_TEST_SUITE_P(every, async_faces, ::testing::ValuesIn(all_worlds()), world_name);

} // namespace
} // namespace holdfast::testing
