// What happens at the limits: a clear refusal, and nothing half-held.
#include "local/support.hpp"

#include <atomic>
#include <thread>

#include <gmock/gmock.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class limits : public ::testing::Test {
  protected:
    std::string folder() const { return folder_.path().string(); }
    std::string url() const { return "local:" + folder(); }
    std::unique_ptr<store> make_store() const { return local_store(folder()); }

    /// Acquires and releases as many names as there is room for; how many that were.
    std::uint32_t use_every_name() const {
        const auto engine = make_store();
        const auto session = engine->open({.id = {}, .ttl = 60s, .who = {}}, soon()).value();
        for (std::uint32_t i = 0; i < local::record_count + 1; ++i) {
            const auto fast = session->fast({.name = resource_name::make("name " + std::to_string(i)).value(),
                                             .id = {},
                                             .weight = lock_capacity,
                                             .capacity = lock_capacity});
            std::uint64_t ticket = 0;
            if (fast == nullptr || fast->try_acquire(ticket).value() == 0 || !fast->release(ticket)) {
                return i;
            }
        }
        return local::record_count + 1;
    }

    temp_dir folder_{"holdfast-limits"};
};

TEST_F(limits, a_full_table_of_names_refuses_new_names_and_serves_the_old) {
    const auto locks = connect(url());
    ASSERT_EQ(use_every_name(), local::record_count);
    auto refused = locks.mutex("one too many").acquire();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), errc::config);
    EXPECT_THAT(refused.error().message(), HasSubstr(local::segment_file));
    EXPECT_TRUE(locks.mutex("name 7").try_acquire());
    const auto all = locks.list();
    ASSERT_TRUE(all);
    EXPECT_TRUE(all->empty());
}

TEST_F(limits, a_crowded_table_is_emptied_when_nobody_uses_it_and_tokens_still_rise) {
    std::uint64_t before = 0;
    {
        const auto locks = connect(url());
        ASSERT_EQ(use_every_name(), local::record_count);
        before = locks.mutex("name 7").acquire()->token().value();
    }
    const auto locks = connect(url());
    auto held = locks.mutex("one too many").acquire();
    ASSERT_TRUE(held) << held.error().message();
    EXPECT_GT(held->token().value(), before);
    EXPECT_GT(locks.mutex("name 7").acquire()->token().value(), before);
}

TEST_F(limits, names_of_any_bytes_and_of_every_length_stay_apart) {
    const auto locks = connect(url());
    std::vector<std::string> names{"a",       "a/b", "a/", std::string("a\0", 2), std::string("a\0b", 3),
                                   "{a}",     "..",  "\n", std::string(511, 'x'), std::string(512, 'x'),
                                   "\xff\xfe"};
    std::vector<held> holds;
    for (const auto& name : names) {
        auto held = locks.mutex(name).try_acquire();
        ASSERT_TRUE(held);
        holds.push_back(std::move(*held));
    }
    const auto all = locks.list();
    ASSERT_TRUE(all);
    std::sort(names.begin(), names.end());
    ASSERT_EQ(all->size(), names.size());
    for (std::size_t i = 0; i < names.size(); ++i) {
        EXPECT_EQ((*all)[i].name, names[i]);
    }
}

TEST_F(limits, more_sessions_than_there_are_places_are_refused) {
    const auto engine = make_store();
    std::vector<std::shared_ptr<store_session>> sessions;
    for (std::uint32_t i = 0; i < local::slot_count; ++i) {
        auto opened = engine->open({.id = {}, .ttl = 60s, .who = {}}, soon());
        ASSERT_TRUE(opened) << i << ": " << opened.error().message();
        sessions.push_back(std::move(*opened));
    }
    const auto refused = engine->open({.id = {}, .ttl = 60s, .who = {}}, soon());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), errc::unavailable);
    sessions.pop_back();
    EXPECT_TRUE(engine->open({.id = {}, .ttl = 60s, .who = {}}, soon()));
}

TEST_F(limits, another_kind_on_a_name_in_use_is_refused_by_both_names) {
    const auto locks = connect(url());
    auto held = locks.semaphore("name", 3).acquire();
    ASSERT_TRUE(held);
    const auto as_lock = locks.mutex("name").try_acquire();
    ASSERT_FALSE(as_lock);
    EXPECT_EQ(as_lock.error().code(), errc::misuse);
    EXPECT_THAT(as_lock.error().message(), HasSubstr("a semaphore of 3 permits, not as a lock"));
    const auto other = locks.semaphore("name", 4).try_acquire();
    ASSERT_FALSE(other);
    EXPECT_THAT(other.error().message(),
                HasSubstr("a semaphore of 3 permits, not as a semaphore of 4 permits"));
    ASSERT_TRUE(held->release());
    EXPECT_TRUE(locks.mutex("name").try_acquire());
}

TEST_F(limits, a_thousand_threads_wait_in_one_line_and_all_get_their_turn) {
#if defined(__SANITIZE_THREAD__)
    constexpr int waiters = 100; // Each of a thousand threads would be slowed down by all the others.
#else
    constexpr int waiters = 1000;
#endif
    const auto locks = connect(url(), {.ttl = 60s});
    auto first = locks.mutex("name").acquire();
    ASSERT_TRUE(first);
    std::atomic<int> served{0};
    std::atomic<int> inside{0};
    std::atomic<bool> overlap{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < waiters; ++i) {
        threads.emplace_back([&] {
            auto held = locks.mutex("name").acquire();
            if (held) {
                overlap = overlap || ++inside != 1;
                --inside;
                ++served;
            }
        });
    }
    EXPECT_TRUE(wait_for([&] { return claims_in(locks, "name") == waiters + 1; }, 60s));
    ASSERT_TRUE(first->release());
    for (auto& each : threads) {
        each.join();
    }
    EXPECT_EQ(served.load(), waiters);
    EXPECT_FALSE(overlap.load());
}

TEST_F(limits, ten_thousand_held_permits_of_as_many_names_fit) {
#if defined(__SANITIZE_THREAD__)
    constexpr int names = 1000;
#else
    constexpr int names = 10000;
#endif
    {
        const auto locks = connect(url(), {.ttl = 60s});
        std::vector<held> holds;
        for (int i = 0; i < names; ++i) {
            auto held = locks.semaphore("name " + std::to_string(i), 2).try_acquire();
            ASSERT_TRUE(held) << i << ": " << held.error().message();
            holds.push_back(std::move(*held));
        }
    }
    EXPECT_THAT(left_overs(folder()), IsEmpty());
}

TEST_F(limits, a_waiter_that_cannot_rewrite_its_line_for_lack_of_blocks_pauses_between_its_tries) {
    holder victim(folder(), "name", 60s);
    ASSERT_NE(victim.token(), 0U);
    const auto locks = connect(url(), {.ttl = 60s});
    std::atomic<bool> served{false};
    std::chrono::nanoseconds busy{};
    std::thread waiter([&] {
        served = locks.mutex("name").try_acquire_for(patience).has_value();
        timespec used{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
        busy = std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
    });
    EXPECT_TRUE(wait_for([&] { return claims_in(locks, "name") == 2; }, patience));
    const auto opened = local::open_segment(folder(), soon());
    const local::segment& in = **opened;
    // Everything is taken in the name of the session that waits: it lives.
    local::owner_id owner = 0;
    for (std::uint32_t i = 0; i < local::slot_count; ++i) {
        const auto word = in.data().slots[i].session.load();
        if (local::state_of(word) == local::session_state::alive) {
            owner = local::owner_of(i, local::generation_of(word));
        }
    }
    std::vector<std::uint32_t> blocks;
    const auto line = in.data().records[local::find_record(in, "name").record].word.load();
    for (std::uint32_t i = 0; i < local::block_count; ++i) {
        if (i != local::block_of(line)) {
            in.block_at(i).owner().store(owner);
            blocks.push_back(i);
        }
    }
    victim.process().kill();
    std::this_thread::sleep_for(2s);
    EXPECT_FALSE(served.load());
    for (const auto each : blocks) {
        local::give_block(in, each);
    }
    waiter.join();
    EXPECT_TRUE(served.load());
    EXPECT_LT(busy, 1500ms); // Without a pause it is busy all the two seconds.
}

TEST_F(limits, two_stores_of_one_process_exclude_each_other) {
    const auto ann = connect(url());
    const auto bob = connect(url());
    auto held = ann.mutex("name").acquire();
    ASSERT_TRUE(held);
    EXPECT_EQ(bob.mutex("name").try_acquire().error().code(), errc::busy);
    ASSERT_TRUE(held->release());
    EXPECT_TRUE(bob.mutex("name").try_acquire());
}

} // namespace
} // namespace holdfast::testing
