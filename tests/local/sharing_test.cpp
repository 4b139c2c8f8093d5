// Readers and permits by a thread's own way in: they are claims like any other for everybody else.
#include "local/support.hpp"

#include <atomic>
#include <csignal>
#include <functional>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "core/grip.hpp"
#include "core/inside.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class sharing : public ::testing::Test {
  protected:
    std::string url() const { return "local:" + folder_.path().string(); }
    /// The third acquisition of a face on is by its lane.
    static shared_mutex warm_reader(const locks& on, const std::string& name) {
        shared_mutex made = on.shared_mutex(name);
        for (int turn = 0; turn < 3; ++turn) {
            made.acquire_shared().value().release().value();
        }
        return made;
    }
    static semaphore warm_semaphore(const locks& on, const std::string& name, std::uint32_t permits,
                                    std::uint32_t taken) {
        semaphore made = on.semaphore(name, permits);
        for (int turn = 0; turn < 3; ++turn) {
            made.acquire(taken).value().release().value();
        }
        return made;
    }
    static bool by_lane(const held& handle) {
        const core::grip* const by = core::inside::grip_of(handle);
        return by != nullptr && !by->is_whole();
    }
    local::tag tag_of(const std::string& name) const {
        const auto opened = local::open_segment(folder_.path().string(), soon());
        const local::segment& in = **opened;
        const auto found = local::find_record(in, name);
        return local::tag_of(in.data().records.at(found.record).word.load());
    }

    temp_dir folder_{"holdfast-sharing"};
};

TEST_F(sharing, a_reader_who_is_alone_is_told_by_the_word) {
    const auto on = connect(url());
    auto lock = warm_reader(on, "a");
    std::uint64_t last = 0;
    for (int turn = 0; turn < 50; ++turn) {
        auto mine = lock.acquire_shared().value();
        EXPECT_TRUE(by_lane(mine));
        EXPECT_EQ(tag_of("a"), local::tag::reader);
        EXPECT_GT(mine.token().value(), last);
        EXPECT_GT(mine.valid_for(), 5s);
        last = mine.token().value();
        const auto shown = on.show("a").value();
        ASSERT_EQ(shown.claims.size(), 1U);
        EXPECT_TRUE(shown.claims[0].holds);
        EXPECT_EQ(shown.claims[0].weight, 1U);
        EXPECT_EQ(shown.claims[0].token, last);
        EXPECT_FALSE(on.mutex("a").try_acquire());
        EXPECT_TRUE(mine.release());
        EXPECT_EQ(tag_of("a"), local::tag::free);
    }
    EXPECT_GT(on.mutex("a").acquire().value().token().value(), last);
}

TEST_F(sharing, readers_hold_together_and_whoever_writes_waits_for_all_of_them) {
    {
        const auto ann = connect(url());
        const auto bob = connect(url());
        auto of_ann = warm_reader(ann, "a");
        auto of_bob = warm_reader(bob, "a");
        auto first = of_ann.acquire_shared().value();
        auto second = of_bob.acquire_shared().value();
        auto third = of_ann.try_acquire_shared().value();
        EXPECT_TRUE(by_lane(first) && by_lane(second) && by_lane(third));
        EXPECT_LT(first.token(), second.token());
        EXPECT_LT(second.token(), third.token());
        EXPECT_EQ(claims_in(ann, "a"), 3U);
        std::atomic<std::uint64_t> written{0};
        std::jthread writer([&] { written = connect(url()).mutex("a").acquire().value().token().value(); });
        EXPECT_TRUE(wait_for([&] { return claims_in(ann, "a") == 4; }, patience));
        EXPECT_FALSE(of_bob.try_acquire_shared()) << "a writer waits";
        for (held* each : {&second, &first, &third}) {
            EXPECT_EQ(written, 0U);
            EXPECT_GT(each->valid_for(), 0s);
            EXPECT_TRUE(each->release());
        }
        EXPECT_TRUE(wait_for([&] { return written != 0; }, patience));
        writer.join();
        EXPECT_TRUE(of_bob.try_acquire_shared());
    }
    EXPECT_EQ(left_overs(folder_.path().string()), "");
}

TEST_F(sharing, a_broken_reader_hears_of_it_alone_and_among_others) {
    // It looks after its holds at each renewal, too: of this lease there is none before the test has ended.
    const auto on = connect(url(), {.ttl = 600s});
    auto lock = warm_reader(on, "a");
    for (const int readers : {1, 2}) {
        std::vector<held> all;
        std::vector<std::stop_token> lost;
        for (int reader = 0; reader < readers; ++reader) {
            all.push_back(lock.acquire_shared().value());
            EXPECT_TRUE(by_lane(all.back()));
            lost.push_back(all.back().lost());
        }
        EXPECT_EQ(on.break_holds("a", all.back().token()).value(), 1U);
        EXPECT_TRUE(wait_for([&] { return lost.back().stop_requested(); }, patience));
        EXPECT_EQ(all.back().reason(), loss_reason::broken);
        EXPECT_EQ(all.back().release().error().code(), errc::lost);
        all.pop_back();
        for (held& each : all) {
            EXPECT_GT(each.valid_for(), 0s);
            EXPECT_TRUE(each.release());
        }
        EXPECT_FALSE(readers == 2 && lost.front().stop_requested());
        EXPECT_EQ(claims_in(on, "a"), 0U);
    }
}

TEST_F(sharing, permits_are_counted_and_another_number_of_them_is_misuse) {
    const auto ann = connect(url());
    const auto bob = connect(url());
    auto two = warm_semaphore(ann, "s", 3, 2);
    auto one = warm_semaphore(bob, "s", 3, 1);
    auto first = two.acquire(2).value();
    EXPECT_TRUE(by_lane(first));
    EXPECT_FALSE(bob.semaphore("s", 3).try_acquire(2));
    EXPECT_EQ(one.try_acquire(4).error().code(), errc::misuse);
    EXPECT_EQ(one.try_acquire(0).error().code(), errc::misuse);
    auto second = one.try_acquire().value();
    EXPECT_TRUE(by_lane(second));
    EXPECT_FALSE(one.try_acquire());
    auto other = warm_semaphore(ann, "t", 4, 1);
    const auto held_by_three = bob.semaphore("t", 3).acquire().value();
    EXPECT_EQ(other.try_acquire().error().code(), errc::misuse);
    EXPECT_TRUE(first.release());
    EXPECT_TRUE(two.try_acquire(2));
    EXPECT_TRUE(second.release());
    EXPECT_EQ(claims_in(ann, "s"), 0U);
}

TEST_F(sharing, a_reader_who_is_killed_makes_room) {
    for (const bool alone : {true, false}) {
        int ready[2];
        ASSERT_EQ(pipe(ready), 0);
        const pid_t child = fork();
        if (child == 0) {
            const auto theirs = connect(url());
            auto lock = warm_reader(theirs, "a");
            const auto one = lock.acquire_shared().value();
            const auto two = alone ? held() : lock.acquire_shared().value();
            const char sign = by_lane(one) && (alone || by_lane(two)) ? 'y' : 'n';
            static_cast<void>(!write(ready[1], &sign, 1));
            pause();
        }
        char sign = 0;
        EXPECT_EQ(read(ready[0], &sign, 1), 1);
        EXPECT_EQ(sign, 'y');
        const auto on = connect(url());
        std::atomic<bool> served{false};
        std::jthread writer([&] { served = on.mutex("a").acquire().has_value(); });
        EXPECT_TRUE(wait_for([&] { return claims_in(on, "a") == (alone ? 2U : 3U); }, patience));
        EXPECT_FALSE(served);
        kill(child, SIGKILL);
        EXPECT_EQ(waitpid(child, nullptr, 0), child);
        EXPECT_TRUE(wait_for([&] { return served.load(); }, patience));
        close(ready[0]);
        close(ready[1]);
    }
    EXPECT_EQ(left_overs(folder_.path().string()), "");
}

TEST_F(sharing, readers_and_writers_in_a_crowd_never_meet) {
    std::atomic<int> readers{0};
    std::atomic<int> writers{0};
    std::atomic<int> wrong{0};
    std::atomic<std::uint64_t> last_written{0};
    for (const int crowd : {2, 4}) { // Two are often alone, four hardly ever.
        std::vector<std::jthread> all;
        for (int thread = 0; thread < crowd; ++thread) {
            all.emplace_back([&, thread] {
                const auto on = connect(url());
                auto lock = on.shared_mutex("a");
                for (int turn = 0; turn < 1500; ++turn) {
                    if ((turn + thread) % 5 == 0) {
                        auto mine = lock.acquire().value();
                        wrong += ++writers != 1 || readers != 0 ? 1 : 0;
                        wrong += last_written.exchange(mine.token().value()) >= mine.token().value() ? 1 : 0;
                        --writers;
                        wrong += mine.release() ? 0 : 1;
                    } else {
                        auto mine = lock.acquire_shared().value();
                        ++readers;
                        wrong += writers != 0 ? 1 : 0;
                        --readers;
                        wrong += mine.release() ? 0 : 1;
                    }
                }
            });
        }
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(left_overs(folder_.path().string()), "");
}

} // namespace
} // namespace holdfast::testing
