// Thousands of claims of one process that no thread of its own drives: the store's background thread does.
#include "fixture.hpp"

#include <atomic>
#include <malloc.h>

#include "core/factory.hpp"

namespace holdfast::testing {
namespace {

struct tally {
    std::atomic<int> waiting{0};
    std::atomic<int> granted{0};
    std::atomic<int> renewed{0};
    std::atomic<int> removed{0};
    std::atomic<int> wrong{0};
};

class counted_claim final : public claim_events {
  public:
    counted_claim(struct claim what, tally& in) : claim_events(std::move(what)), tally_(in) {}
    void on_waiting() noexcept override { ++tally_.waiting; }
    void on_granted(token) noexcept override {
        ++tally_.granted;
        holds = true;
    }
    void on_refused(error) noexcept override { ++tally_.wrong; }
    void on_renewed(instant) noexcept override { ++tally_.renewed; }
    void on_lost(loss_reason) noexcept override { ++tally_.wrong; }
    void on_removed(result<void> outcome) noexcept override { ++(outcome ? tally_.removed : tally_.wrong); }

    std::atomic<bool> holds{false};

  private:
    tally& tally_;
};

class scale : public on_redis {
  protected:
    void TearDown() override { session_->close(in(20s)); }

    static constexpr std::array<std::uint8_t, 16> id{1, 2, 3};

    static instant in(std::chrono::nanoseconds time) { return now(clock_source::boottime) + time; }

    std::shared_ptr<counted_claim> stand(const std::string& name) {
        auto made = std::make_shared<counted_claim>(claim{.name = resource_name::make(name).value(),
                                                          .id = {.session = id, .number = ++last_},
                                                          .weight = lock_capacity,
                                                          .capacity = lock_capacity},
                                                    seen_);
        session_->append(made, false);
        return made;
    }

    /// Seconds of processor time that the server has used.
    double server_time() {
        const std::string info = raw_.text({"INFO", "cpu"});
        const auto field = [&](const std::string& key) {
            return std::stod(info.substr(info.find(key + ":") + key.size() + 1));
        };
        return field("used_cpu_user_main_thread") + field("used_cpu_sys_main_thread");
    }

    tally seen_;
    std::uint64_t last_ = 0;
    std::unique_ptr<store> store_ = core::make_store({.url = core::parse_url(server().url()).value(),
                                                      .op_timeout = 20s,
                                                      .ttl = 60s,
                                                      .ca_file = {},
                                                      .cert_file = {},
                                                      .key_file = {}})
                                        .value();
    std::shared_ptr<store_session> session_ = store_->open({.id = id, .ttl = 60s, .who = {}}, in(5s)).value();
};

TEST_F(scale, ten_thousand_undriven_holds_of_one_process_are_granted_renewed_and_removed) {
    constexpr int count = 10'000;
    const auto before = mallinfo2().uordblks;
    std::vector<std::shared_ptr<counted_claim>> all;
    for (int i = 0; i < count; ++i) {
        all.push_back(stand("name-" + std::to_string(i)));
    }
    ASSERT_TRUE(wait_for([&] { return seen_.granted == count; }, 60s)) << seen_.granted;
    const std::size_t bytes = (mallinfo2().uordblks - before) / count;
    RecordProperty("bytes_each", static_cast<int>(bytes));
    EXPECT_LE(bytes, 2'048U);
    EXPECT_EQ(clients("holdfast") + clients("holdfast-messages"), 1U) << "one connection, and nobody waits";

    seen_.renewed = 0; // An append that had to wait its turn counts from when it was sent.
    const double used = server_time();
    ASSERT_TRUE(session_->renew(in(20s)));
    const double cost = server_time() - used;
    RecordProperty("server_us_each_renewal", std::to_string(cost * 1e6 / count));
    EXPECT_EQ(seen_.renewed, count);
    EXPECT_LE(cost, 0.3) << "a renewal of all of them took the server " << cost << " s";

    for (const auto& each : all) {
        session_->remove(each);
    }
    EXPECT_TRUE(wait_for([&] { return seen_.removed == count; }, 60s)) << seen_.removed;
    EXPECT_EQ(seen_.wrong, 0);
    EXPECT_EQ(raw_.keys(), 1) << "the note alone is left";
}

TEST_F(scale, one_renewal_that_finds_a_hold_gone_loses_that_one_only) {
    std::vector<std::shared_ptr<counted_claim>> all;
    for (int i = 0; i < 150; ++i) {
        all.push_back(stand("name-" + std::to_string(i)));
    }
    ASSERT_TRUE(wait_for([&] { return seen_.granted == 150; }, 20s));
    raw_({"DEL", "name-70"});
    raw_({"SET", "name-71", "somebody else's"});
    raw_({"SCRIPT", "FLUSH"});
    seen_.renewed = 0;
    ASSERT_TRUE(session_->renew(in(20s)));
    EXPECT_EQ(seen_.renewed, 148);
    EXPECT_EQ(seen_.wrong, 2) << "two were lost";
    EXPECT_EQ(raw_.text({"GET", "name-71"}), "somebody else's");
}

TEST_F(scale, a_thousand_undriven_waiters_of_one_name_are_served_one_after_another) {
    constexpr std::size_t count = 1'000;
    std::vector<std::shared_ptr<counted_claim>> all;
    for (std::size_t i = 0; i < count; ++i) {
        all.push_back(stand("name"));
    }
    ASSERT_TRUE(
        wait_for([&] { return seen_.granted == 1 && seen_.waiting == static_cast<int>(count) - 1; }, 30s))
        << seen_.granted << " hold, " << seen_.waiting << " wait";
    seen_.renewed = 0;
    ASSERT_TRUE(session_->renew(in(20s)));
    EXPECT_GE(seen_.renewed, static_cast<int>(count));
    for (std::size_t i = 0; i < count; ++i) {
        ASSERT_TRUE(wait_for([&] { return all[i]->holds.load(); }, 10s)) << i;
        ASSERT_EQ(seen_.granted, static_cast<int>(i) + 1) << "a release wakes one";
        session_->remove(all[i]);
    }
    EXPECT_TRUE(wait_for([&] { return seen_.removed == static_cast<int>(count); }, 30s));
    EXPECT_EQ(seen_.wrong, 0);
}

} // namespace
} // namespace holdfast::testing
