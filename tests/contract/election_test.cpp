// Elections on every store: one leads, the others wait, and observers hear of it.
#include "contract/face_test.hpp"

#include <algorithm>
#include <mutex>
#include <thread>

#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class elections : public face_test {};

/// observe() on a thread of its own, and what it told.
class observer {
  public:
    explicit observer(election of)
        : thread_([this, of = std::move(of)](std::stop_token stop) mutable {
              outcome_ = of.observe(
                  [this](const std::optional<leader>& told) {
                      const std::scoped_lock locked(mutex_);
                      told_.push_back(told ? told->proposal : "nobody");
                      tokens_.push_back(told ? told->token.value() : 0);
                  },
                  stop);
          }) {}
    bool has_told(const std::vector<std::string>& wanted) {
        return wait_for([&] { return told() == wanted; }, 20s);
    }
    std::vector<std::string> told() {
        const std::scoped_lock locked(mutex_);
        return told_;
    }
    std::vector<std::uint64_t> tokens() {
        const std::scoped_lock locked(mutex_);
        return tokens_;
    }
    result<void> stop() {
        thread_.request_stop();
        thread_.join();
        return outcome_;
    }

  private:
    std::mutex mutex_;
    std::vector<std::string> told_;
    std::vector<std::uint64_t> tokens_;
    result<void> outcome_;
    std::jthread thread_;
};

std::string text_of(const std::vector<std::string>& told) {
    std::string all;
    for (const auto& each : told) {
        all += each + ", ";
    }
    return all;
}

TEST_P(elections, one_leads_and_the_next_in_line_follows_when_it_resigns) {
    const auto ann = connect();
    const auto bob = connect();
    auto first = ann.election(fresh()).campaign("ann");
    ASSERT_TRUE(first) << first.error().message();
    EXPECT_GT(first->valid_for(), 1s);
    EXPECT_EQ(code_of(bob.election(fresh()).try_campaign("bob")), errc::busy);
    EXPECT_EQ(code_of(bob.election(fresh()).campaign_for("bob", 20ms)), errc::timed_out);
    EXPECT_EQ(code_of(bob.election(fresh()).campaign_until("bob", std::chrono::system_clock::now() + 20ms)),
              errc::timed_out);
    EXPECT_EQ(code_of(bob.mutex(fresh()).try_acquire()), errc::busy) << "an election is the lock of its name";
    std::optional<result<leadership>> second;
    std::thread candidate([&] { second = bob.election(fresh()).campaign("bob"); });
    EXPECT_TRUE(wait_for([&] { return in_line(ann, fresh()) == 2; }, 10s));
    EXPECT_EQ(ann.election(fresh()).leader().value().value().proposal, "ann");
    EXPECT_TRUE(first->resign());
    EXPECT_FALSE(*first);
    EXPECT_EQ(code_of(first->proclaim("too late")), errc::misuse);
    candidate.join();
    ASSERT_TRUE(*second) << second->error().message();
    const auto seen = ann.election(fresh()).leader().value();
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->proposal, "bob");
    EXPECT_EQ(seen->token, (*second)->token());
    EXPECT_GT((*second)->token(), first->token());
    EXPECT_TRUE((*second)->resign());
    EXPECT_FALSE(ann.election(fresh()).leader().value());
}

TEST_P(elections, a_stop_request_ends_a_campaign_and_leaves_nothing) {
    const auto ann = connect();
    const auto bob = connect();
    auto first = ann.election(fresh()).campaign("ann");
    ASSERT_TRUE(first) << first.error().message();
    std::stop_source stop;
    std::thread canceller([&] {
        EXPECT_TRUE(wait_for([&] { return in_line(ann, fresh()) == 2; }, 10s));
        stop.request_stop();
    });
    EXPECT_EQ(code_of(bob.election(fresh()).campaign("bob", stop.get_token())), errc::cancelled);
    canceller.join();
    EXPECT_TRUE(first->resign());
    EXPECT_EQ(in_line(ann, fresh()), 0U);
}

TEST_P(elections, the_leader_replaces_its_proposal_and_observers_hear_of_it) {
    const auto ann = connect();
    const auto bob = connect();
    observer watching(bob.election(fresh()));
    EXPECT_TRUE(watching.has_told({"nobody"})) << text_of(watching.told());
    auto leads = ann.election(fresh()).campaign("one");
    ASSERT_TRUE(leads) << leads.error().message();
    EXPECT_TRUE(watching.has_told({"nobody", "one"})) << text_of(watching.told());
    const auto proclaimed = leads->proclaim("two");
    ASSERT_TRUE(proclaimed) << proclaimed.error().message();
    EXPECT_TRUE(watching.has_told({"nobody", "one", "two"})) << text_of(watching.told());
    EXPECT_TRUE(leads->resign());
    EXPECT_TRUE(watching.has_told({"nobody", "one", "two", "nobody"})) << text_of(watching.told());
    auto again = bob.election(fresh()).try_campaign("three");
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_TRUE(watching.has_told({"nobody", "one", "two", "nobody", "three"})) << text_of(watching.told());
    EXPECT_TRUE(watching.stop());
    const auto tokens = watching.tokens();
    EXPECT_EQ(tokens[1], tokens[2]) << "it was the same leadership";
    EXPECT_GT(tokens[4], tokens[1]);
}

TEST_P(elections, an_observer_that_comes_late_is_told_at_once) {
    const auto ann = connect();
    const auto bob = connect();
    auto leads = ann.election(fresh()).campaign("already");
    ASSERT_TRUE(leads) << leads.error().message();
    observer watching(bob.election(fresh()));
    EXPECT_TRUE(watching.has_told({"already"})) << text_of(watching.told());
    EXPECT_TRUE(watching.stop());
}

TEST_P(elections, proposals_are_opaque_bytes_up_to_their_limit) {
    const auto ann = connect();
    const auto bob = connect();
    std::string odd(max_proposal, 'x');
    odd[0] = '\0';
    odd[1] = '\n';
    odd[2] = '\xff';
    odd[3] = '"';
    auto leads = ann.election(fresh()).campaign(odd);
    ASSERT_TRUE(leads) << leads.error().message();
    EXPECT_EQ(bob.election(fresh()).leader().value().value().proposal, odd);
    EXPECT_EQ(code_of(leads->proclaim(odd + "x")), errc::misuse);
    EXPECT_EQ(bob.election(fresh()).leader().value().value().proposal, odd);
    EXPECT_TRUE(leads->proclaim(""));
    EXPECT_EQ(bob.election(fresh()).leader().value().value().proposal, "");
    EXPECT_EQ(code_of(bob.election(fresh("other")).campaign(odd + "x")), errc::misuse);
    EXPECT_EQ(in_line(ann, fresh("other")), 0U);
}

TEST_P(elections, a_leader_that_was_broken_proclaims_nothing) {
    const auto ann = connect({.ttl = 6s});
    const auto bob = connect({.ttl = 6s});
    auto first = ann.election(fresh()).campaign("ann");
    ASSERT_TRUE(first) << first.error().message();
    const auto broken = bob.break_holds(fresh());
    ASSERT_TRUE(broken) << broken.error().message();
    auto second = bob.election(fresh()).campaign_for("bob", 10s);
    ASSERT_TRUE(second) << second.error().message();
    EXPECT_EQ(code_of(first->proclaim("ann again")), errc::lost);
    EXPECT_TRUE(first->is_lost());
    EXPECT_EQ(ann.election(fresh()).leader().value().value().proposal, "bob");
    EXPECT_EQ(code_of(first->resign()), errc::lost);
    EXPECT_EQ(ann.election(fresh()).leader().value().value().proposal, "bob");
}

TEST_P(elections, who_holds_the_mutex_of_the_name_leads_nothing) {
    const auto ann = connect();
    const auto bob = connect();
    auto mine = ann.mutex(fresh()).acquire();
    ASSERT_TRUE(mine) << mine.error().message();
    const auto seen = bob.election(fresh()).leader();
    ASSERT_TRUE(seen) << seen.error().message();
    EXPECT_FALSE(*seen);
    EXPECT_EQ(code_of(bob.election(fresh()).try_campaign("bob")), errc::busy);
    EXPECT_TRUE(mine->release());
    auto reads = ann.shared_mutex(fresh()).acquire_shared();
    ASSERT_TRUE(reads) << reads.error().message();
    EXPECT_FALSE(bob.election(fresh()).leader().value()) << "readers lead nothing";
}

INSTANTIATE_TEST_SUITE_P(every, elections, ::testing::ValuesIn(all_worlds()), world_name);

} // namespace
} // namespace holdfast::testing
