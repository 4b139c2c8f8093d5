// Holds of the synchronous path that somebody follows are told when they are gone, and only then.
#include "local/support.hpp"

#include <malloc.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class follower final : public claim_events {
  public:
    explicit follower(const std::string& name)
        : claim_events({.name = resource_name::make(name).value(), .id = {}, .weight = lock_capacity}) {}
    void on_waiting() noexcept override {}
    void on_granted(token) noexcept override {}
    void on_refused(error) noexcept override {}
    void on_renewed(instant) noexcept override {}
    void on_lost(loss_reason why) noexcept override {
        reason = why;
        ++told;
    }
    void on_removed(result<void>) noexcept override {}

    std::atomic<int> told{0};
    std::atomic<loss_reason> reason{loss_reason::none};
};

class waiter final : public claim_events {
  public:
    explicit waiter(const std::string& name, std::uint64_t number)
        : claim_events({.name = resource_name::make(name).value(),
                        .id = {.session = {9}, .number = number},
                        .weight = lock_capacity}) {}
    void on_waiting() noexcept override {}
    void on_granted(token) noexcept override { holds = true; }
    void on_refused(error) noexcept override {}
    void on_renewed(instant) noexcept override {}
    void on_lost(loss_reason) noexcept override {}
    void on_removed(result<void>) noexcept override { left = true; }

    std::atomic<bool> holds{false};
    std::atomic<bool> left{false};
};

/// A hold of the fast path with somebody who follows it.
struct followed {
    std::shared_ptr<fast_path> path;
    std::uint64_t ticket = 0;
    std::uint64_t token = 0;
    std::shared_ptr<follower> entry;

    void release() const {
        if (!path->release(ticket)) {
            path->remove(ticket);
        }
    }
};

class follow : public ::testing::Test {
  protected:
    void SetUp() override {
        store_ = connect();
        other_ = connect();
        session_ = open(*store_, 60s);
        neighbour_ = open(*other_, 60s);
    }
    std::unique_ptr<store> connect() { return local_store(folder_.path().string()); }
    static std::shared_ptr<store_session> open(store& in, std::chrono::nanoseconds ttl) {
        return in.open({.id = {7}, .ttl = ttl, .who = {}}, soon()).value();
    }
    static followed take(store_session& in, const std::string& name) {
        followed made;
        made.entry = std::make_shared<follower>(name);
        made.path = in.fast(made.entry->claim());
        made.token = made.path->try_acquire(made.ticket).value();
        EXPECT_NE(made.token, 0U);
        made.path->follow(made.ticket, made.entry);
        return made;
    }
    std::shared_ptr<waiter> wait_behind(const std::string& name) {
        auto made = std::make_shared<waiter>(name, ++last_number_);
        neighbour_->append(made, false);
        return made;
    }
    std::size_t break_hold(const std::string& name, std::optional<token> only = {}) {
        return other_->break_holds(resource_name::make(name).value(), only, soon()).value();
    }
    /// A renewal looks at all that is followed.
    void let_it_look() { ASSERT_TRUE(session_->renew(soon())); }

    temp_dir folder_{"holdfast-follow"};
    std::unique_ptr<store> store_;
    std::unique_ptr<store> other_; ///< As another process would have it.
    std::shared_ptr<store_session> session_;
    std::shared_ptr<store_session> neighbour_;
    std::uint64_t last_number_ = 0;
};

TEST_F(follow, a_sole_holder_is_told_that_it_was_broken_without_a_renewal) {
    const auto mine = take(*session_, "name");
    EXPECT_EQ(mine.entry->told, 0);
    ASSERT_EQ(break_hold("name"), 1U);
    // Nobody renews here, so nothing but the breaker's poke can tell.
    EXPECT_TRUE(wait_for([&] { return mine.entry->told == 1; }, patience));
    EXPECT_EQ(mine.entry->reason, loss_reason::broken);
    mine.release();
    EXPECT_EQ(mine.entry->told, 1);
}

TEST_F(follow, a_holder_with_others_behind_it_is_told_and_the_next_one_holds) {
    const auto mine = take(*session_, "name");
    const auto next = wait_behind("name");
    ASSERT_FALSE(next->holds);
    EXPECT_TRUE(mine.path->holds(mine.ticket));
    ASSERT_EQ(break_hold("name", token(mine.token)), 1U);
    EXPECT_TRUE(wait_for([&] { return mine.entry->told == 1; }, patience));
    EXPECT_EQ(mine.entry->reason, loss_reason::broken);
    EXPECT_TRUE(wait_for([&] { return next->holds.load(); }, patience));
    mine.release();
    EXPECT_TRUE(next->holds) << "what is lost releases nobody else's hold";
    EXPECT_EQ(break_hold("name"), 1U);
}

TEST_F(follow, a_hold_that_had_others_behind_it_for_a_while_is_still_followed) {
    const auto mine = take(*session_, "name");
    for (int round = 0; round < 3; ++round) {
        const auto next = wait_behind("name");
        neighbour_->remove(next);
        ASSERT_TRUE(wait_for([&] { return next->left.load(); }, patience));
    }
    let_it_look();
    EXPECT_EQ(mine.entry->told, 0);
    EXPECT_TRUE(mine.path->holds(mine.ticket));
    ASSERT_EQ(break_hold("name"), 1U);
    EXPECT_TRUE(wait_for([&] { return mine.entry->told == 1; }, patience));
}

TEST_F(follow, who_waits_before_somebody_follows_makes_no_difference) {
    follower shape("name");
    const auto path = session_->fast(shape.claim());
    std::uint64_t ticket = 0;
    ASSERT_NE(path->try_acquire(ticket).value(), 0U);
    const auto next = wait_behind("name");
    const auto entry = std::make_shared<follower>("name");
    path->follow(ticket, entry);
    EXPECT_EQ(entry->told, 0);
    ASSERT_EQ(break_hold("name"), 1U);
    EXPECT_TRUE(wait_for([&] { return entry->told == 1; }, patience));
}

TEST_F(follow, of_two_holds_only_the_broken_one_is_told) {
    const auto first = take(*session_, "first");
    const auto second = take(*session_, "second");
    ASSERT_EQ(break_hold("second"), 1U);
    EXPECT_TRUE(wait_for([&] { return second.entry->told == 1; }, patience));
    let_it_look();
    EXPECT_EQ(first.entry->told, 0);
    EXPECT_TRUE(first.path->holds(first.ticket));
    ASSERT_EQ(break_hold("first"), 1U);
    EXPECT_TRUE(wait_for([&] { return first.entry->told == 1; }, patience));
    EXPECT_EQ(second.entry->told, 1);
}

TEST_F(follow, who_follows_what_is_broken_already_is_told_at_once) {
    follower shape("name");
    const auto path = session_->fast(shape.claim());
    std::uint64_t ticket = 0;
    ASSERT_NE(path->try_acquire(ticket).value(), 0U);
    ASSERT_EQ(break_hold("name"), 1U);
    const auto entry = std::make_shared<follower>("name");
    path->follow(ticket, entry);
    EXPECT_EQ(entry->told, 1);
    EXPECT_EQ(entry->reason, loss_reason::broken);
}

TEST_F(follow, a_hold_that_is_released_is_told_nothing) {
    const auto alone = take(*session_, "alone");
    const auto crowded = take(*session_, "crowded");
    const auto next = wait_behind("crowded");
    alone.release();
    crowded.release();
    ASSERT_TRUE(wait_for([&] { return next->holds.load(); }, patience));
    ASSERT_EQ(break_hold("crowded"), 1U) << "the next one's";
    let_it_look();
    EXPECT_EQ(alone.entry->told, 0);
    EXPECT_EQ(crowded.entry->told, 0);
    EXPECT_EQ(alone.entry.use_count(), 1);
    EXPECT_EQ(crowded.entry.use_count(), 1);
}

TEST_F(follow, releases_that_race_with_looks_are_told_nothing) {
    const auto bystander = take(*session_, "bystander");
    std::atomic<bool> stop{false};
    std::jthread looker([&] {
        while (!stop.load()) {
            static_cast<void>(session_->renew(soon())); // Looks at all that is followed.
        }
    });
    int told = 0;
    for (int round = 0; round < 20'000; ++round) {
        const auto mine = take(*session_, "name");
        mine.release();
        told += mine.entry->told;
    }
    stop.store(true);
    EXPECT_EQ(told, 0);
    EXPECT_EQ(bystander.entry->told, 0);
}

TEST_F(follow, following_a_thousand_times_keeps_no_memory) {
    const auto entry = std::make_shared<follower>("name");
    const auto path = session_->fast(entry->claim());
    const auto rounds = [&](int count) {
        for (int i = 0; i < count; ++i) {
            std::uint64_t ticket = 0;
            ASSERT_NE(path->try_acquire(ticket).value(), 0U);
            path->follow(ticket, entry);
            ASSERT_TRUE(path->release(ticket));
        }
    };
    rounds(10);
    const std::weak_ptr<follower> seen = entry;
    const std::size_t before = mallinfo2().uordblks;
    rounds(1'000);
    EXPECT_LT(mallinfo2().uordblks, before + 16'384);
    EXPECT_EQ(seen.use_count(), 1);
    EXPECT_EQ(entry->told, 0);
}

TEST_F(follow, whose_session_is_declared_expired_is_told) {
    const auto silent = open(*store_, 300ms); // Nobody renews it.
    const auto mine = take(*silent, "name");
    const auto next = wait_behind("name");
    EXPECT_TRUE(wait_for([&] { return next->holds.load(); }, patience));
    EXPECT_TRUE(wait_for([&] { return mine.entry->told == 1; }, patience));
    EXPECT_EQ(mine.entry->reason, loss_reason::expired);
    const auto late = std::make_shared<follower>("name");
    mine.path->follow(mine.ticket, late);
    EXPECT_EQ(late->reason, loss_reason::expired);
}

TEST_F(follow, a_renewal_that_comes_too_late_tells) {
    const auto silent = open(*store_, 100ms);
    const auto mine = take(*silent, "name");
    const instant over = silent->opened().sent_at + 150ms;
    ASSERT_TRUE(wait_for([&] { return now(clock_source::monotonic) > over; }, patience));
    EXPECT_EQ(mine.entry->told, 0) << "nobody has looked";
    EXPECT_FALSE(silent->renew(soon()));
    EXPECT_EQ(mine.entry->told, 1);
    EXPECT_EQ(mine.entry->reason, loss_reason::expired);
}

TEST_F(follow, the_end_of_the_session_is_told_to_nobody) {
    const auto mine = take(*session_, "name");
    session_->close(soon());
    EXPECT_FALSE(mine.path->holds(mine.ticket));
    mine.release();
    session_.reset();
    EXPECT_EQ(mine.entry->told, 0);
}

TEST_F(follow, a_handle_that_asks_for_lost_hears_of_it_long_before_its_renewal) {
    const auto by = holdfast::connect("local:" + folder_.path().string(), {.ttl = 10min});
    auto mine = by.mutex("name").acquire().value();
    const auto lost = mine.lost();
    ASSERT_TRUE(lost.stop_possible());
    ASSERT_EQ(break_hold("name"), 1U);
    EXPECT_TRUE(wait_for([&] { return lost.stop_requested(); }, patience));
    EXPECT_EQ(mine.reason(), loss_reason::broken);
    EXPECT_EQ(mine.release().error().code(), errc::lost);
}

} // namespace
} // namespace holdfast::testing
