// Events: what the sink is told, in which order, and that it disturbs nothing.
#include "contract/reference_store.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <latch>
#include <mutex>
#include <thread>

#include <holdfast/holdfast.hpp>

#include "core/client.hpp"
#include "core/event_queue.hpp"
#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using kind = event::kind;

/// A sink that writes down what it is told.
class recorder {
  public:
    event_sink sink() {
        return [this](const event& what) {
            const std::scoped_lock locked(mutex_);
            events_.push_back(what);
        };
    }
    std::vector<event> of(const std::string& name) {
        const std::scoped_lock locked(mutex_);
        std::vector<event> found;
        std::copy_if(events_.begin(), events_.end(), std::back_inserter(found),
                     [&](const event& each) { return each.name == name; });
        return found;
    }
    std::size_t count(kind what) {
        const std::scoped_lock locked(mutex_);
        return static_cast<std::size_t>(std::count_if(events_.begin(), events_.end(),
                                                      [&](const event& each) { return each.what == what; }));
    }

  private:
    std::mutex mutex_;
    std::vector<event> events_;
};

std::vector<kind> kinds(const std::vector<event>& events) {
    std::vector<kind> all;
    for (const auto& each : events) {
        all.push_back(each.what);
    }
    return all;
}

class events : public ::testing::Test {
  protected:
    locks connect(event_sink sink) {
        return locks(
            core::client::adopt(
                engine.connect(), "reference:one",
                {.ttl = 600ms, .op_timeout = 500ms, .release_timeout = 300ms, .sink = std::move(sink)})
                .value());
    }
    reference_engine engine;
};

TEST_F(events, a_hold_is_told_from_its_wait_to_its_release) {
    recorder told;
    const auto ann = connect({});
    auto first = ann.mutex("x").acquire();
    std::thread leaving([&] {
        EXPECT_TRUE(wait_for([&] { return engine.claims_in("x") == 2; }, 5s));
        std::this_thread::sleep_for(20ms); // So that the wait has a length.
        EXPECT_TRUE(first->release());
    });
    token granted;
    {
        const auto bob = connect(told.sink());
        auto second = bob.mutex("x").acquire();
        ASSERT_TRUE(second);
        granted = second->token();
        std::this_thread::sleep_for(20ms); // So that the hold has a length.
        EXPECT_TRUE(second->release());
        EXPECT_FALSE(bob.mutex("x").try_acquire_for(0s).value().is_lost());
    }
    leaving.join();
    const auto seen = told.of("x"); // All of it: the last of the connection waited for that.
    ASSERT_EQ(kinds(seen),
              (std::vector{kind::waiting, kind::acquired, kind::released, kind::acquired, kind::released}));
    EXPECT_EQ(seen[1].token, granted);
    EXPECT_EQ(seen[2].token, granted);
    EXPECT_GE(seen[1].waited, 15ms);
    EXPECT_GE(seen[2].held_for, 15ms);
    EXPECT_LT(seen[2].held_for, 60s);
    EXPECT_EQ(seen[0].store, "reference:one");
    EXPECT_EQ(seen[0].token, token());
    EXPECT_EQ(seen[2].reason, loss_reason::none);
}

TEST_F(events, a_loss_is_told_once_with_its_reason_and_no_release_follows) {
    recorder told;
    {
        const auto ann = connect(told.sink());
        auto held = ann.mutex("x").acquire();
        std::this_thread::sleep_for(20ms); // So that the hold has a length.
        engine.take_away("x", loss_reason::broken);
        EXPECT_FALSE(held->release());
        EXPECT_FALSE(ann.semaphore("y", 3).acquire(4)); // Never in line: nothing to tell.
    }
    const auto seen = told.of("x");
    ASSERT_EQ(kinds(seen), (std::vector{kind::acquired, kind::lost}));
    EXPECT_EQ(seen[1].reason, loss_reason::broken);
    EXPECT_GE(seen[1].held_for, 15ms);
    EXPECT_LT(seen[1].held_for, 60s);
    EXPECT_EQ(seen[1].token, seen[0].token);
    EXPECT_TRUE(told.of("y").empty());
}

TEST_F(events, a_spell_of_failed_renewals_is_told_once) {
    recorder told;
    const auto ann = connect(told.sink());
    auto held = ann.mutex("x").acquire();
    ASSERT_TRUE(wait_for([&] { return told.count(kind::renewed) >= 1; }, 5s));
    engine.never_expires = true;
    EXPECT_EQ(told.count(kind::at_risk), 0U);
    engine.unreachable = true;
    ASSERT_TRUE(wait_for([&] { return told.count(kind::at_risk) == 1; }, 5s));
    const int renewals = engine.renewals;
    EXPECT_TRUE(wait_for([&] { return engine.renewals >= renewals + 2 || held->is_lost(); }, 5s));
    EXPECT_EQ(told.count(kind::at_risk), 1U);
    EXPECT_EQ(told.of("x").front().what, kind::acquired);
}

TEST_F(events, a_sink_that_throws_or_blocks_disturbs_nothing) {
    std::latch open{1};
    std::atomic<std::uint64_t> missed{0};
    std::atomic<std::size_t> calls{0};
    {
        const auto ann = connect([&](const event& what) {
            open.wait();
            missed += what.missed;
            ++calls;
            throw std::runtime_error("of the sink");
        });
        auto face = ann.mutex("x");
        for (std::size_t i = 0; i < core::event_queue::longest / 2 + 100; ++i) {
            ASSERT_TRUE(face.acquire());
        }
        open.count_down();
        ASSERT_TRUE(wait_for([&] { return calls >= core::event_queue::longest; }, 10s));
        ASSERT_TRUE(face.acquire());
    }
    EXPECT_GT(missed, 0U);
}

// The session's own thread is still in a renewal that nobody answers when the last of the connection goes.
TEST_F(events, the_sink_is_called_no_more_once_all_is_gone_although_the_session_has_not_ended) {
    const auto calls = std::make_shared<std::atomic<int>>(0);
    {
        auto ann = connect([calls](const event&) { ++*calls; });
        const auto taken = ann.mutex("x").acquire();
        ASSERT_TRUE(taken);
        const int before = engine.renewals;
        engine.silent = true;
        ASSERT_TRUE(wait_for([&] { return engine.renewals > before; }, 15s));
    }
    EXPECT_EQ(calls.use_count(), 1) << "the sink and what it captured are gone";
    const int told = *calls;
    engine.silent = false;
    engine.unreachable = true;
    EXPECT_TRUE(wait_for([&] { return engine.connections() == 0; }, 15s));
    EXPECT_EQ(*calls, told);
}

TEST_F(events, the_sink_may_drop_the_last_of_the_connection) {
    struct shared_with_the_sink { // It may still be on its way out of the sink when the test is over.
        std::mutex mutex;
        std::optional<locks> ann;
        std::atomic<bool> dropped{false};
    };
    const auto ours = std::make_shared<shared_with_the_sink>();
    {
        const std::scoped_lock locked(ours->mutex);
        ours->ann = connect([ours](const event&) {
            const std::scoped_lock inside(ours->mutex);
            ours->ann.reset();
            ours->dropped = true;
        });
        static_cast<void>(ours->ann->mutex("x").acquire());
    }
    EXPECT_TRUE(wait_for([&] { return ours->dropped.load(); }, 15s));
}

} // namespace
} // namespace holdfast::testing
