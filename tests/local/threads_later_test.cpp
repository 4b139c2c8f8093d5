// options::threads_later: a hold for a moment needs no thread, and one that lasts gets what it needs.
#include "local/support.hpp"

#include <csignal>
#include <filesystem>
#include <thread>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class threads_later : public ::testing::Test {
  protected:
    // ThreadSanitizer has a thread of its own, from the first that is started on.
    void SetUp() override {
        std::thread([] {}).join();
    }
    locks later(std::chrono::nanoseconds ttl = 60s) const {
        options how;
        how.ttl = ttl;
        how.threads_later = true;
        return connect(url(), how);
    }
    std::string url() const { return "local:" + folder_.path().string(); }
    static std::ptrdiff_t threads() {
        const std::filesystem::directory_iterator tasks("/proc/self/task");
        return std::distance(begin(tasks), end(tasks));
    }
    /// Until it must have been renewed to be valid still.
    static bool outlives(const held& mine, std::chrono::milliseconds ttl) {
        const auto until = std::chrono::steady_clock::now() + 5 * ttl / 4;
        return wait_for([&] { return mine.is_lost() || std::chrono::steady_clock::now() >= until; },
                        patience) &&
               !mine.is_lost();
    }

    const temp_dir folder_{"threads-later"};
};

TEST_F(threads_later, a_hold_for_a_moment_needs_none) {
    const std::ptrdiff_t before = threads();
    {
        const locks mine = later();
        held one = mine.mutex("n").try_acquire().value();
        const held permit = mine.semaphore("s", 2).try_acquire().value();
        const held reader = mine.shared_mutex("r").try_acquire_shared().value();
        EXPECT_EQ(threads(), before);
        EXPECT_EQ(claims_in(mine, "n"), 1U);
        EXPECT_EQ(mine.mutex("n").try_acquire().error().code(), errc::busy);
        EXPECT_TRUE(one.release());
        EXPECT_EQ(threads(), before);
    }
    EXPECT_EQ(left_overs(folder_.path().string()), "");
}

TEST_F(threads_later, is_not_renewed_before_its_loss_is_asked_for) {
    const locks mine = later(1s);
    const held never = mine.mutex("never").try_acquire().value();
    EXPECT_FALSE(outlives(never, 1s));
    EXPECT_EQ(never.reason(), loss_reason::expired);
}

TEST_F(threads_later, is_renewed_once_its_loss_was_asked_for) {
    const locks mine = later(2s);
    const held asked = mine.mutex("asked").try_acquire().value();
    const held beside =
        mine.semaphore("beside", 3).try_acquire().value(); // The session is renewed, not a hold.
    const std::stop_token lost = asked.lost();
    EXPECT_TRUE(outlives(asked, 2s));
    EXPECT_FALSE(beside.is_lost());
    EXPECT_FALSE(lost.stop_requested());
    ASSERT_EQ(mine.break_holds("asked").value(), 1U);
    EXPECT_TRUE(wait_for([&] { return lost.stop_requested(); }, patience));
}

TEST_F(threads_later, what_was_broken_before_is_lost_when_asked) {
    const locks mine = later();
    const held one = mine.mutex("n").try_acquire().value();
    ASSERT_EQ(connect(url()).break_holds("n").value(), 1U);
    EXPECT_TRUE(wait_for([&] { return one.lost().stop_requested(); }, patience));
}

TEST_F(threads_later, who_waits_in_line_is_renewed_meanwhile) {
    const locks other = connect(url());
    held theirs = other.mutex("n").acquire().value();
    const locks mine = later(2s);
    std::optional<result<held>> got;
    std::thread waiter([&] { got = mine.mutex("n").acquire(); });
    ASSERT_TRUE(wait_for([&] { return claims_in(other, "n") == 2; }, patience));
    const auto until = std::chrono::steady_clock::now() + 2500ms;
    ASSERT_TRUE(wait_for([&] { return std::chrono::steady_clock::now() >= until; }, patience));
    const auto line = other.show("n").value().claims;
    ASSERT_EQ(line.size(), 2U);
    EXPECT_FALSE(line[1].stale) << "It waits longer than its TTL, in the place it had.";
    EXPECT_TRUE(theirs.release());
    waiter.join();
    ASSERT_TRUE(got && *got) << (*got).error().message();
}

TEST_F(threads_later, two_of_them_on_one_thread_do_not_share_its_life) {
    const std::ptrdiff_t before = threads();
    const locks first = later();
    const held one = first.mutex("one").try_acquire().value();
    EXPECT_EQ(threads(), before);
    {
        const locks second = later(); // The kernel knows one list for each thread.
        const held two = second.mutex("two").try_acquire().value();
        EXPECT_EQ(threads(), before + 1);
    }
    EXPECT_FALSE(one.is_lost());
    EXPECT_EQ(claims_in(first, "one"), 1U);
}

TEST_F(threads_later, its_death_is_known_at_once) {
    holder killed(folder_.path().string(), "n", 60s, "hold-later");
    ASSERT_NE(killed.token(), 0U);
    std::atomic<bool> got{false};
    std::thread waiter([&] {
        const locks mine = connect(url());
        got = mine.mutex("n").try_acquire_for(patience).has_value();
    });
    const locks looks = connect(url());
    EXPECT_TRUE(wait_for([&] { return claims_in(looks, "n") == 2; }, patience));
    EXPECT_FALSE(got);
    killed.process().signal(SIGKILL);
    waiter.join();
    EXPECT_TRUE(got) << "Long before the TTL of a minute.";
}

TEST_F(threads_later, a_store_left_to_the_end_of_the_process_has_no_session_any_more) {
    const std::ptrdiff_t before = threads();
    options how;
    how.store_until_exit = true;
    std::optional<locks> mine = connect(url(), how);
    std::optional<held> one = mine->mutex("n").try_acquire().value();
    one.reset();
    EXPECT_TRUE(connect(url()).mutex("n").try_acquire());
    one = mine->mutex("n").try_acquire().value();
    mine.reset();
    EXPECT_FALSE(one->is_lost()) << "The hold keeps its session.";
    one.reset();
    EXPECT_TRUE(wait_for([&] { return threads() == before + 1; }, patience))
        << "Only the store's own is left.";
    EXPECT_TRUE(connect(url()).list().value().empty());
}

} // namespace
} // namespace holdfast::testing
