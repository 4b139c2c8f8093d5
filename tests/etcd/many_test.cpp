// Ten thousand claims in one process that nobody drives: no thread each, little memory, one renewal for all.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <functional>

#include "etcd/one_server.hpp"
#include "support/own_status.hpp"

namespace holdfast::etcd::testing {
namespace {

using holdfast::testing::own_status;

constexpr std::size_t many = 10'000;
constexpr std::size_t at_once = 500;

/// As the asynchronous faces wait: it counts, and nobody sleeps on it.
class quiet_claim final : public claim_events {
  public:
    using claim_events::claim_events;
    void on_waiting() noexcept override { waits = true; }
    void on_granted(token granted) noexcept override { holds = granted.value(); }
    void on_refused(error) noexcept override { refused = true; }
    void on_renewed(instant) noexcept override {}
    void on_lost(loss_reason) noexcept override { lost = true; }
    void on_removed(result<void>) noexcept override { removed = true; }

    std::atomic<std::uint64_t> holds{0};
    std::atomic<bool> waits{false};
    std::atomic<bool> refused{false};
    std::atomic<bool> lost{false};
    std::atomic<bool> removed{false};
};
using claims_list = std::vector<std::shared_ptr<quiet_claim>>;

/// A session that is renewed by hand.
struct crowd {
    crowd(store& in, std::uint8_t number) {
        session_request request;
        request.id[0] = number;
        request.ttl = 600s; // Nobody renews it while a slow machine stands ten thousand claims.
        request.who = {"ann", "here", 1, "test", {}};
        session = in.open(request, now(clock_source::boottime) + 10s).value();
    }
    ~crowd() { session->close(now(clock_source::boottime) + 10s); }

    // Stands in the line of every name, a few hundred requests at a time.
    claims_list stand(const std::function<std::string(std::size_t)>& name, std::size_t count) {
        claims_list out;
        for (std::size_t i = 0; i < count; ++i) {
            claim what{resource_name::make(name(i)).value(), {}, lock_capacity, lock_capacity};
            what.id.number = ++last;
            out.push_back(std::make_shared<quiet_claim>(std::move(what)));
            session->append(out.back(), false);
            if (out.size() % at_once == 0 || out.size() == count) {
                EXPECT_TRUE(wait_for(
                    [&] {
                        return std::all_of(
                            out.end() - static_cast<std::ptrdiff_t>((out.size() - 1) % at_once + 1),
                            out.end(),
                            [](const auto& one) { return one->holds != 0 || one->waits || one->refused; });
                    },
                    60s));
            }
        }
        return out;
    }

    std::shared_ptr<store_session> session;
    std::uint64_t last = 0;
};

class many_claims : public one_server {};

constexpr const char* renewals = "grpc_server_msg_received_total{grpc_method=\"LeaseKeepAlive\"";

TEST_F(many_claims, ten_thousand_waiting_on_as_many_names_need_no_thread_each_and_one_renewal) {
    const auto engine = make_store(server().url(), 60s);
    ASSERT_TRUE(engine->check(now(clock_source::boottime) + 10s));
    crowd holders(*engine, 1);
    crowd waiters(*engine, 2);
    const auto name = [&](std::size_t i) { return fresh(std::to_string(i)); };
    const long before_kb = own_status("VmRSS");
    const claims_list held = holders.stand(name, many);
    const long held_kb = own_status("VmRSS");
    const long threads = own_status("Threads");
    const claims_list waiting = waiters.stand(name, many);
    const long all_kb = own_status("VmRSS");

    EXPECT_TRUE(std::ranges::all_of(held, [](const auto& one) { return one->holds != 0 && !one->lost; }));
    EXPECT_TRUE(std::ranges::all_of(waiting, [](const auto& one) { return one->waits && one->holds == 0; }));
    EXPECT_LE(own_status("Threads"), threads + 8);
    const auto each = [](long kb) { return static_cast<double>(kb) * 1024 / static_cast<double>(many); };
    std::printf("memory: %.0f bytes a hold, %.0f bytes a waiter with its watch; threads: %ld\n",
                each(held_kb - before_kb), each(all_kb - held_kb), own_status("Threads"));
    RecordProperty("bytes_a_hold", std::to_string(each(held_kb - before_kb)));
    RecordProperty("bytes_a_waiter", std::to_string(each(all_kb - held_kb)));

    const double renewals_before = metric(server(), renewals);
    ASSERT_TRUE(holders.session->renew(now(clock_source::boottime) + 10s));
    EXPECT_EQ(metric(server(), renewals), renewals_before + 1);

    // A release wakes one.
    holders.session->remove(held[4711]);
    EXPECT_TRUE(wait_for([&] { return waiting[4711]->holds != 0; }, 30s));
    EXPECT_EQ(std::ranges::count_if(waiting, [](const auto& one) { return one->holds != 0; }), 1);
}

TEST_F(many_claims, a_thousand_waiting_on_one_name_are_granted_one_by_one_in_order) {
    const auto engine = make_store(server().url(), 60s);
    ASSERT_TRUE(engine->check(now(clock_source::boottime) + 10s));
    crowd all(*engine, 3);
    claims_list line;
    constexpr std::size_t count = 1'000;
    for (std::size_t i = 0; i < count; ++i) { // One after the other: the order is the order of the calls.
        auto one = all.stand([&](std::size_t) { return fresh(); }, 1);
        line.push_back(std::move(one.front()));
    }
    const double watches = metric(server(), "etcd_debugging_mvcc_watcher_total");
    for (std::size_t i = 0; i < count; ++i) {
        ASSERT_TRUE(wait_for([&] { return line[i]->holds != 0; }, 30s)) << i;
        if (i + 1 < count) {
            EXPECT_EQ(line[i + 1]->holds, 0U);
        }
        all.session->remove(line[i]);
    }
    EXPECT_LE(metric(server(), "etcd_debugging_mvcc_watcher_total"), watches + 1);
}

} // namespace
} // namespace holdfast::etcd::testing
