// Claims that no thread drives are looked after by the store's own thread.
#include "local/support.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class noted_claim final : public claim_events {
  public:
    explicit noted_claim(std::uint64_t number)
        : claim_events({.name = resource_name::make("name").value(),
                        .id = {.session = {7}, .number = number},
                        .weight = lock_capacity,
                        .capacity = lock_capacity}) {}
    void on_waiting() noexcept override { waits = true; }
    void on_granted(token granted) noexcept override { given = granted.value(); }
    void on_refused(error) noexcept override {}
    void on_renewed(instant) noexcept override {}
    void on_lost(loss_reason why) noexcept override { lost = why; }
    void on_removed(result<void>) noexcept override {}

    std::atomic<bool> waits{false};
    std::atomic<std::uint64_t> given{0};
    std::atomic<loss_reason> lost{loss_reason::none};
};

class undriven : public ::testing::Test {
  protected:
    void SetUp() override {
        store_ = local_store(folder_.path().string());
        session_ = open(60s);
    }
    std::shared_ptr<store_session> open(std::chrono::nanoseconds ttl) {
        return store_->open({.id = {7}, .ttl = ttl, .who = {}}, soon()).value();
    }
    std::shared_ptr<noted_claim> stand(store_session& in, std::uint64_t number) {
        auto made = std::make_shared<noted_claim>(number);
        in.append(made, false);
        return made;
    }

    temp_dir folder_{"holdfast-undriven"};
    std::unique_ptr<store> store_;
    std::shared_ptr<store_session> session_;
};

TEST_F(undriven, claims_are_granted_one_after_another) {
    std::vector<std::shared_ptr<noted_claim>> line;
    for (std::uint64_t number = 1; number <= 50; ++number) {
        line.push_back(stand(*session_, number));
    }
    for (std::size_t i = 0; i < line.size(); ++i) {
        ASSERT_TRUE(wait_for([&] { return line[i]->given.load() != 0; }, patience)) << i;
        if (i > 0) {
            EXPECT_GT(line[i]->given.load(), line[i - 1]->given.load());
            EXPECT_TRUE(line[i]->waits.load());
        }
        if (i + 1 < line.size()) {
            EXPECT_EQ(line[i + 1]->given.load(), 0U);
        }
        session_->remove(line[i]);
    }
}

TEST_F(undriven, a_claim_is_granted_when_the_process_ahead_is_killed) {
    holder victim(folder_.path().string(), "name", 60s);
    ASSERT_NE(victim.token(), 0U);
    const auto next = stand(*session_, 1);
    EXPECT_EQ(next->given.load(), 0U);
    victim.process().kill();
    EXPECT_TRUE(wait_for([&] { return next->given.load() != 0; }, 10s));
}

TEST_F(undriven, a_claim_is_granted_when_the_session_ahead_expires) {
    const auto silent = open(300ms); // Nobody renews it.
    const auto first = stand(*silent, 1);
    ASSERT_NE(first->given.load(), 0U);
    const auto next = stand(*session_, 2);
    EXPECT_TRUE(wait_for([&] { return next->given.load() != 0; }, 10s));
    EXPECT_EQ(silent->renew(soon()).error().code(), errc::lost);
}

TEST_F(undriven, a_claim_whose_own_session_expires_is_told) {
    const auto held = stand(*session_, 1);
    ASSERT_NE(held->given.load(), 0U);
    const auto silent = open(300ms);
    const auto waits = stand(*silent, 2);
    EXPECT_TRUE(wait_for(
        [&] {
            static_cast<void>(session_->renew(soon()));
            stand(*session_, 3);
            return waits->lost.load() == loss_reason::expired;
        },
        10s));
}

} // namespace
} // namespace holdfast::testing
