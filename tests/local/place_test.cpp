// A segment that somebody deletes, replaces, moves or cuts short while it is used: everybody hears of it.
#include "local/support.hpp"

#include "local/place.hpp"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class segment_place : public ::testing::Test {
  protected:
    std::string folder() const { return inner_.string(); }
    std::filesystem::path file() const { return inner_ / local::segment_file; }

    /// Everything that somebody may do to a segment, by name.
    std::vector<std::pair<std::string, std::function<void()>>> deeds() const {
        const auto other = outer_ / "other";
        return {{"deleted", [this] { std::filesystem::remove(file()); }},
                {"moved", [this] { std::filesystem::rename(file(), outer_ / "moved"); }},
                {"replaced",
                 [this, other] {
                     std::ofstream(other) << "";
                     ASSERT_EQ(chmod(other.c_str(), 0600), 0);
                     std::filesystem::rename(other, file());
                 }},
                {"its folder moved", [this] { std::filesystem::rename(inner_, outer_ / "away"); }},
                {"its folder deleted", [this] { std::filesystem::remove_all(inner_); }}};
    }
    void clear() const {
        for (const auto& each : std::filesystem::directory_iterator(outer_.path())) {
            std::filesystem::remove_all(each.path());
        }
    }
    void TearDown() override { local::pretend_no_inotify(false); }

    temp_dir outer_{"holdfast-place"};
    const std::filesystem::path inner_ = outer_ / "inner";
};

TEST_F(segment_place, whatever_is_done_to_it_every_hold_hears_of_it_without_a_renewal) {
    for (const auto& [deed, act] : deeds()) {
        // The next renewal would come in hours; with until_death what else there is to see is looked at once
        // a minute, which is longer than the test waits.
        for (const auto ttl : {std::chrono::nanoseconds(24h), until_death}) {
            SCOPED_TRACE(deed + (ttl == until_death ? ", until death" : ""));
            clear();
            const auto locks = connect("local:" + folder(), {.ttl = ttl});
            auto alone = locks.mutex("alone").acquire();
            auto watched = locks.mutex("watched").acquire();
            auto shared = locks.shared_mutex("shared").acquire_shared();
            ASSERT_TRUE(alone && watched && shared);
            const auto lost = watched->lost();
            act();
            ASSERT_TRUE(wait_for([&] { return lost.stop_requested(); }, patience));
            EXPECT_TRUE(alone->is_lost() && watched->is_lost() && shared->is_lost());
            EXPECT_LE(watched->valid_for(), 0ns);
            // What comes now is in another segment, and everybody who comes meets there.
            auto again = locks.mutex("alone").try_acquire_for(patience);
            ASSERT_TRUE(again) << again.error().message();
            const auto others = connect("local:" + folder());
            EXPECT_EQ(others.mutex("alone").try_acquire().error().code(), errc::busy);
        }
    }
}

TEST_F(segment_place, who_waits_goes_on_waiting_in_the_next_segment) {
    for (const bool with_limit : {false, true}) { // By the fast path itself, and by a claim.
        clear();
        const auto locks = connect("local:" + folder(), {.ttl = 24h});
        holder before(folder(), "name", 600s);
        ASSERT_NE(before.token(), 0U);
        for (int i = 0; i < 3; ++i) { // From then on a name has its lane.
            ASSERT_TRUE(locks.mutex("other").acquire());
        }
        std::atomic<bool> holds{false};
        std::thread waiter([&] {
            auto face = locks.mutex("name");
            const auto held = with_limit ? face.try_acquire_for(patience) : face.acquire();
            EXPECT_TRUE(held) << held.error().message();
            holds.store(true);
        });
        EXPECT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
        std::filesystem::remove(file());
        EXPECT_TRUE(wait_for([&] { return holds.load(); }, patience));
        waiter.join();
        EXPECT_TRUE(std::filesystem::exists(file()));
        // What the other one released there is over, and it knows.
        EXPECT_NE(before.release(), "released");
    }
}

TEST_F(segment_place, who_has_no_inotify_instance_left_is_told_by_those_who_have) {
    for (const auto ttl : {24h, 0h}) {
        clear();
        holder untold(folder(), "name", ttl, "hold-untold");
        ASSERT_NE(untold.token(), 0U);
        const auto watches = connect("local:" + folder(), {.ttl = 24h});
        ASSERT_TRUE(watches.mutex("other").acquire());
        std::filesystem::remove(file());
        EXPECT_EQ(untold.process().read_line(patience).value_or("nothing"), "lost replaced");
        // Whoever comes to the next segment holds there alone.
        EXPECT_TRUE(watches.mutex("name").try_acquire_for(patience));
    }
}

TEST_F(segment_place, without_inotify_the_next_renewal_finds_it) {
    local::pretend_no_inotify(true);
    for (const auto& [deed, act] : deeds()) {
        SCOPED_TRACE(deed);
        clear();
        const auto locks = connect("local:" + folder(), {.ttl = 300ms});
        auto held = locks.mutex("name").acquire();
        ASSERT_TRUE(held);
        act();
        EXPECT_TRUE(wait_for([&] { return held->is_lost(); }, patience));
        EXPECT_TRUE(locks.mutex("name").try_acquire_for(patience));
        EXPECT_TRUE(std::filesystem::exists(file()));
    }
}

TEST_F(segment_place, a_segment_that_is_only_looked_at_or_given_other_rights_loses_nothing) {
    const auto locks = connect("local:" + folder(), {.ttl = 24h});
    auto held = locks.mutex("name").acquire();
    ASSERT_TRUE(held);
    const auto lost = held->lost();
    ASSERT_EQ(chmod(file().c_str(), 0400), 0);
    ASSERT_EQ(chmod(file().c_str(), 0600), 0);
    std::filesystem::last_write_time(file(), std::filesystem::file_time_type::clock::now());
    std::ofstream(inner_ / "beside") << "somebody else's";
    std::filesystem::remove(inner_ / "beside");
    ASSERT_EQ(chmod(folder().c_str(), 0750), 0);
    ASSERT_EQ(chmod(folder().c_str(), 0700), 0);
    const auto others = connect("local:" + folder());
    EXPECT_EQ(others.mutex("name").try_acquire_for(300ms).error().code(), errc::timed_out);
    EXPECT_FALSE(lost.stop_requested());
    // All that was seen before this was.
    std::filesystem::remove(file());
    EXPECT_TRUE(wait_for([&] { return lost.stop_requested(); }, patience));
}

std::set<std::string> threads() {
    std::set<std::string> all;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
        all.insert(each.path().filename());
    }
    return all;
}

/// How often these threads have gone to sleep.
std::uint64_t sleeps_of(const std::set<std::string>& some) {
    std::uint64_t all = 0;
    for (const std::string& each : some) {
        std::ifstream status("/proc/self/task/" + each + "/status");
        for (std::string word; status >> word;) {
            if (word == "voluntary_ctxt_switches:") {
                std::uint64_t count = 0;
                status >> count;
                all += count;
            }
        }
    }
    return all;
}

TEST_F(segment_place, nothing_wakes_an_idle_client_whatever_others_do_in_the_segment) {
    std::thread([] {}).join(); // With the first one a sanitizer may start one of its own.
    const auto earlier = threads();
    const auto locks = connect("local:" + folder(), {.ttl = 24h});
    auto held = locks.mutex("name").acquire();
    ASSERT_TRUE(held);
    const auto lost = held->lost();
    std::set<std::string> own;
    const auto now_there = threads();
    std::set_difference(now_there.begin(), now_there.end(), earlier.begin(), earlier.end(),
                        std::inserter(own, own.end()));
    ASSERT_FALSE(own.empty());
    holder others(folder(), "other", 600s);
    ASSERT_NE(others.token(), 0U);
    const auto also = connect("local:" + folder(), {.ttl = 24h});
    // A quiet quarter of a second is found soon after the start.
    EXPECT_TRUE(wait_for(
        [&] {
            const auto before = sleeps_of(own);
            for (int i = 0; i < 1000; ++i) {
                static_cast<void>(also.mutex("another").try_acquire());
            }
            std::this_thread::sleep_for(250ms);
            return sleeps_of(own) == before;
        },
        patience));
}

} // namespace
} // namespace holdfast::testing
