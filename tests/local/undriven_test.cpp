// Many claims that no thread drives: found by their pokes, without a thread each and without looking at all.
#include "local/support.hpp"

#include "local/futex.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <thread>

#include <malloc.h>
#include <sys/resource.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::size_t many_names = 1000;
constexpr std::size_t long_line = 200;
#else
constexpr std::size_t many_names = 10000;
constexpr std::size_t long_line = 1000;
#endif

class timed_claim final : public claim_events {
  public:
    timed_claim(const std::string& name, std::uint64_t number)
        : claim_events({.name = resource_name::make(name).value(),
                        .id = {.session = {9}, .number = number},
                        .weight = lock_capacity,
                        .capacity = lock_capacity}) {}
    void on_waiting() noexcept override { waits = true; }
    void on_granted(token granted) noexcept override {
        at = now(clock_source::monotonic).time_since_epoch().count();
        given = granted.value();
    }
    void on_refused(error) noexcept override {}
    void on_renewed(instant) noexcept override {}
    void on_lost(loss_reason why) noexcept override { lost = why; }
    void on_removed(result<void>) noexcept override {}

    std::atomic<bool> waits{false};
    std::atomic<std::int64_t> at{0};
    std::atomic<std::uint64_t> given{0};
    std::atomic<loss_reason> lost{loss_reason::none};
};

std::shared_ptr<timed_claim> stand(store_session& in, const std::string& name, std::uint64_t number) {
    auto made = std::make_shared<timed_claim>(name, number);
    in.append(made, false);
    return made;
}

std::string name_of(std::size_t i) {
    return "name " + std::to_string(i);
}

/// Context switches of all threads of this process: each sleep is one.
long switches() {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    return used.ru_nvcsw;
}

TEST(undriven_many, ten_thousand_claims_on_as_many_names_are_granted_by_pokes_and_by_a_death) {
    const temp_dir folder("holdfast-many");
    child_process other({LOCAL_WORKER, "hold-many", folder.path().string(), std::to_string(many_names)},
                        {.out = redirect::pipe(), .input_pipe = true});
    ASSERT_EQ(other.read_line(60s).value_or(""), "held");
    const auto engine = local_store(folder.path().string());
    const auto session = engine->open({.id = {9}, .ttl = 600s, .who = {}}, soon()).value();
    std::vector<std::shared_ptr<timed_claim>> claims;
    claims.reserve(many_names);
    const std::size_t memory_before = mallinfo2().uordblks;
    for (std::size_t i = 0; i < many_names; ++i) {
        claims.push_back(stand(*session, name_of(i), i + 1));
        ASSERT_TRUE(claims.back()->waits.load()) << i;
    }
    const std::size_t bytes_each = (mallinfo2().uordblks - memory_before) / many_names;
    RecordProperty("bytes_for_each_waiting_claim", static_cast<int>(bytes_each));
    std::printf("%zu bytes of heap for each waiting claim, its events and its name included\n", bytes_each);
    EXPECT_LE(bytes_each, 4096U);

    // Nothing happens, so nobody wakes up. The bound is generous: the thread adopts the newcomers first.
    std::this_thread::sleep_for(300ms);
    const long quiet_before = switches();
    std::this_thread::sleep_for(1s);
#if !defined(__SANITIZE_THREAD__) // It has a thread of its own, which wakes up all the time.
    EXPECT_LE(switches() - quiet_before, 3);
#else
    static_cast<void>(quiet_before);
#endif

    // A hundred hand-overs, one at a time.
    std::vector<std::int64_t> took_ns;
    for (std::size_t i = 0; i < 100; ++i) {
        other.write_input(std::to_string(i) + "\n");
        const auto said = other.read_line(patience); // The instant before its release.
        ASSERT_TRUE(said);
        ASSERT_TRUE(wait_for([&] { return claims[i]->given.load() != 0; }, patience)) << i;
        took_ns.push_back(claims[i]->at.load() - std::stoll(*said));
    }
    std::sort(took_ns.begin(), took_ns.end());
    std::printf("hand-over to an undriven claim: p50 %lld us, p99 %lld us\n",
                static_cast<long long>(took_ns[50] / 1000), static_cast<long long>(took_ns[98] / 1000));
    EXPECT_LT(took_ns[50], 20'000'000) << "far more than a wake-up takes: pokes are not heard";
    EXPECT_EQ(claims[100]->given.load(), 0U);

    other.kill();
    EXPECT_TRUE(wait_for(
        [&] {
            return std::all_of(claims.begin(), claims.end(),
                               [](const auto& each) { return each->given.load() != 0; });
        },
        30s));
}

TEST(undriven_many, a_thousand_claims_on_one_name_are_served_in_order) {
    const temp_dir folder("holdfast-long");
    const auto engine = local_store(folder.path().string());
    const auto session = engine->open({.id = {9}, .ttl = 600s, .who = {}}, soon()).value();
    std::vector<std::shared_ptr<timed_claim>> line;
    for (std::size_t i = 0; i < long_line; ++i) {
        line.push_back(stand(*session, "name", i + 1));
    }
    const auto began = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < long_line; ++i) {
        const auto give_up = std::chrono::steady_clock::now() + patience;
        while (line[i]->given.load() == 0 && std::chrono::steady_clock::now() < give_up) {
            std::this_thread::yield();
        }
        ASSERT_NE(line[i]->given.load(), 0U) << i;
        if (i > 0) {
            ASSERT_GT(line[i]->given.load(), line[i - 1]->given.load());
        }
        session->remove(line[i]);
    }
    const auto each = (std::chrono::steady_clock::now() - began) / long_line;
    std::printf("%lld us for each of %zu hand-overs within the process\n",
                static_cast<long long>(std::chrono::duration_cast<std::chrono::microseconds>(each).count()),
                long_line);
}

TEST(undriven_many, more_sessions_ahead_than_one_wait_can_name_are_all_noticed) {
    const temp_dir folder("holdfast-ahead");
    const std::size_t others = 200;
    const auto engine = local_store(folder.path().string());
    const auto owners = local_store(folder.path().string());
    std::vector<std::shared_ptr<store_session>> sessions;
    std::vector<std::shared_ptr<timed_claim>> held;
    for (std::size_t i = 0; i < others; ++i) {
        sessions.push_back(
            owners->open({.id = {static_cast<std::uint8_t>(i)}, .ttl = 600s, .who = {}}, soon()).value());
        held.push_back(stand(*sessions.back(), name_of(i), i + 1));
        ASSERT_NE(held.back()->given.load(), 0U);
    }
    const auto session = engine->open({.id = {9}, .ttl = 600s, .who = {}}, soon()).value();
    std::vector<std::shared_ptr<timed_claim>> claims;
    for (std::size_t i = 0; i < others; ++i) {
        claims.push_back(stand(*session, name_of(i), i + 1));
        ASSERT_EQ(claims.back()->given.load(), 0U);
    }
    for (std::size_t i : {std::size_t{0}, others / 2, others - 1}) {
        held[i].reset();
        sessions[i].reset(); // Its claims are swept, its life word says so.
        EXPECT_TRUE(wait_for([&] { return claims[i]->given.load() != 0; }, patience)) << i;
    }
    EXPECT_EQ(claims[1]->given.load(), 0U);
}

TEST(undriven_many, a_waiting_claim_on_a_kernel_without_futex_waitv_is_served_all_the_same) {
    local::pretend_no_waitv(true);
    const temp_dir folder("holdfast-old");
    {
        holder victim(folder.path().string(), "name", 60s);
        ASSERT_NE(victim.token(), 0U);
        const auto engine = local_store(folder.path().string());
        const auto session = engine->open({.id = {9}, .ttl = 600s, .who = {}}, soon()).value();
        const auto next = stand(*session, "name", 1);
        victim.process().kill();
        EXPECT_TRUE(wait_for([&] { return next->given.load() != 0; }, 10s));
        const auto after = stand(*session, "name", 2);
        session->remove(next);
        EXPECT_TRUE(wait_for([&] { return after->given.load() != 0; }, 10s));
    }
    local::pretend_no_waitv(false);
}

} // namespace
} // namespace holdfast::testing
