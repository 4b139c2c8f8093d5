// Who waits by the synchronous path: in line like everybody else, on its own thread, without a claim of the
// store's.
#include "local/support.hpp"

#include <array>
#include <future>

#include <gmock/gmock.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;

class path_follower final : public claim_events {
  public:
    path_follower()
        : claim_events({.name = resource_name::make("name").value(), .id = {}, .weight = lock_capacity}) {}
    void on_waiting() noexcept override {}
    void on_granted(token) noexcept override {}
    void on_refused(error) noexcept override {}
    void on_renewed(instant) noexcept override {}
    void on_lost(loss_reason why) noexcept override { reason = why; }
    void on_removed(result<void>) noexcept override {}

    std::atomic<loss_reason> reason{loss_reason::none};
};

struct path_hold {
    std::uint64_t token = 0;
    std::uint64_t ticket = 0;
};

class path_wait : public ::testing::Test {
  protected:
    void SetUp() override {
        stores_ = {connect(), connect()};
        holder_ = open(*stores_[0], 60s);
        ours_ = path(*holder_);
        held_.token = ours_->try_acquire(held_.ticket).value();
        ASSERT_NE(held_.token, 0U);
    }
    std::unique_ptr<store> connect() { return local_store(folder_.path().string()); }
    static std::shared_ptr<store_session> open(store& in, std::chrono::nanoseconds ttl) {
        return in.open({.id = {7}, .ttl = ttl, .who = {}}, soon()).value();
    }
    static std::shared_ptr<fast_path> path(store_session& in) {
        return in.fast({.name = resource_name::make("name").value(), .id = {}, .weight = lock_capacity});
    }
    /// A thread that waits by this path, once it stands in line.
    std::future<path_hold> wait_by(const std::shared_ptr<fast_path>& by) {
        const std::size_t before = shown().claims.size();
        auto waits = std::async(std::launch::async, [by] {
            path_hold got;
            got.token = by->wait_and_acquire(got.ticket, nullptr).value();
            return got;
        });
        EXPECT_TRUE(wait_for([&] { return shown().claims.size() > before; }, patience));
        return waits;
    }
    resource_status shown() { return stores_[0]->show(resource_name::make("name").value(), soon()).value(); }
    static void release(fast_path& by, std::uint64_t ticket) {
        if (!by.release(ticket)) {
            by.remove(ticket);
        }
    }
    void TearDown() override {
        ours_.reset();
        holder_.reset();
        stores_ = {};
        EXPECT_THAT(left_overs(folder_.path()), IsEmpty());
    }

    temp_dir folder_{"holdfast-path-wait"};
    std::array<std::unique_ptr<store>, 2> stores_;
    std::shared_ptr<store_session> holder_;
    std::shared_ptr<fast_path> ours_;
    path_hold held_;
};

TEST_F(path_wait, is_served_in_order_and_its_hold_is_shown_with_its_time) {
    const auto session = open(*stores_[1], 60s);
    const auto theirs = path(*session);
    auto first = wait_by(theirs);
    auto second = wait_by(theirs);
    EXPECT_EQ(second.wait_for(0s), std::future_status::timeout);
    release(*ours_, held_.ticket);
    const path_hold one = first.get();
    EXPECT_GT(one.token, held_.token);
    EXPECT_TRUE(theirs->holds(one.ticket)); // With another one behind it.
    const auto now = shown();
    ASSERT_EQ(now.claims.size(), 2U);
    EXPECT_EQ(now.claims[0].token, one.token);
    EXPECT_TRUE(now.claims[0].since);
    release(*theirs, one.ticket);
    const path_hold two = second.get();
    EXPECT_GT(two.token, one.token);
    EXPECT_TRUE(theirs->holds(two.ticket));
    release(*theirs, two.ticket);
    EXPECT_FALSE(theirs->holds(two.ticket));
}

TEST_F(path_wait, holds_at_once_what_is_free_by_then) {
    release(*ours_, held_.ticket);
    path_hold got;
    got.token = ours_->wait_and_acquire(got.ticket, nullptr).value();
    EXPECT_GT(got.token, held_.token);
    release(*ours_, got.ticket);
}

TEST_F(path_wait, ends_with_its_own_session) {
    const auto session = open(*stores_[1], 300ms);
    const auto theirs = path(*session);
    auto waits = wait_by(theirs);
    ASSERT_TRUE(wait_for([&] { return shown().claims.back().stale; }, patience));
    EXPECT_FALSE(session->renew(soon())); // As its upkeep does, after having stood still for too long.
    EXPECT_EQ(waits.get().token, 0U);
    release(*ours_, held_.ticket);
}

TEST_F(path_wait, a_hold_that_was_waited_for_is_told_when_it_is_broken) {
    const auto session = open(*stores_[1], 60s);
    const auto theirs = path(*session);
    for (const bool others_behind : {false, true}) {
        auto waits = wait_by(theirs);
        std::future<path_hold> behind;
        if (others_behind) {
            behind = wait_by(ours_);
        }
        release(*ours_, held_.ticket);
        const path_hold got = waits.get();
        const auto entry = std::make_shared<path_follower>();
        theirs->follow(got.ticket, entry);
        EXPECT_EQ(entry->reason.load(), loss_reason::none);
        EXPECT_EQ(stores_[0]->break_holds(resource_name::make("name").value(), {}, soon()).value(), 1U);
        EXPECT_TRUE(wait_for([&] { return entry->reason.load() == loss_reason::broken; }, patience));
        theirs->remove(got.ticket);
        if (others_behind) {
            held_ = behind.get();
        } else {
            held_.token = ours_->try_acquire(held_.ticket).value();
        }
        EXPECT_GT(held_.token, got.token);
    }
    release(*ours_, held_.ticket);
}

TEST_F(path_wait, a_killed_holder_is_followed_at_once) {
    release(*ours_, held_.ticket);
    holder victim(folder_.path().string(), "name", 60s);
    ASSERT_NE(victim.token(), 0U);
    auto waits = wait_by(ours_);
    victim.process().kill();
    const path_hold got = waits.get();
    EXPECT_NE(got.token, 0U);
    release(*ours_, got.ticket);
}

} // namespace
} // namespace holdfast::testing
