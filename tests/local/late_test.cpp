// Whoever finds that its own timer came late may not declare another one expired at once: what held it up may
// have held up the other's renewal too. It waits for one more third of a TTL.
#include "local/session.hpp"
#include "local/support.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <ctime>
#include <optional>
#include <thread>

#include <pthread.h>
#include <signal.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class patient_claim final : public claim_events {
  public:
    explicit patient_claim(std::uint8_t session)
        : claim_events({.name = resource_name::make("name").value(),
                        .id = {.session = {session}, .number = 1},
                        .weight = lock_capacity,
                        .capacity = lock_capacity}) {}
    void on_waiting() noexcept override {}
    void on_granted(token) noexcept override {
        granted = true;
        place.notify();
    }
    void on_refused(error) noexcept override {}
    void on_renewed(instant) noexcept override {}
    void on_lost(loss_reason) noexcept override {}
    void on_removed(result<void>) noexcept override {}

    std::atomic<bool> granted{false};
};

/// Keeps the thread that it interrupts from going on for so long.
std::atomic<std::int64_t> hold_up_ns{0};
std::atomic<std::int64_t> went_on_ns{0};
std::atomic<bool> was_held_up{false};
void hold_up(int) {
    const std::int64_t ns = hold_up_ns.load();
    const timespec pause{.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
    nanosleep(&pause, nullptr);
    timespec then{};
    clock_gettime(CLOCK_MONOTONIC, &then);
    went_on_ns = std::int64_t{then.tv_sec} * 1'000'000'000 + then.tv_nsec;
    was_held_up = true;
}

class late_timer : public ::testing::Test {
  protected:
    void SetUp() override { store_ = local_store(folder_.path().string()); }
    /// Somebody holds whom nobody renews; his lease is over at expires_.
    void hold() {
        holder_ = store_->open({.id = {1}, .ttl = holders_ttl, .who = {}}, soon()).value();
        holder_->append(std::make_shared<patient_claim>(1), false);
        expires_ = holder_->opened().sent_at + holders_ttl + 1ms;
    }
    static instant present() { return now(clock_source::monotonic); }
    static constexpr auto holders_ttl = 300ms;

    temp_dir folder_{"holdfast-late"};
    std::unique_ptr<store> store_;
    std::shared_ptr<store_session> holder_;
    instant expires_;
};

/// How long a waiting thread, held up for so long, waits after it went on before it holds; nothing when the
/// machine was so slow that this shows nothing.
std::optional<std::chrono::nanoseconds> patience_after(const local::segment& in, store_session& session,
                                                       instant lease_ends, std::chrono::nanoseconds held_up) {
    hold_up_ns = held_up.count();
    was_held_up = false;
    const auto claim = std::make_shared<patient_claim>(3);
    claim->will_be_driven = true;
    session.append(claim, false);
    instant granted_at;
    std::thread waiter([&] {
        session.drive(*claim, soon());
        granted_at = now(clock_source::monotonic);
    });
    // Its own session must not expire meanwhile.
    std::atomic<bool> expired{false};
    std::jthread renews([&](const std::stop_token& over) {
        while (!over.stop_requested()) {
            expired = !session.renew(soon()) || expired;
            std::this_thread::sleep_for(10ms);
        }
    });
    // It has decided how long to sleep, and nobody else sleeps in a cell here.
    const auto& cells = in.data().cells;
    EXPECT_TRUE(wait_for(
        [&] {
            return claim->granted.load() || std::any_of(cells.begin(), cells.end(), [](const auto& each) {
                       return (each.futex.load() & local::cell::asleep) != 0;
                   });
        },
        patience));
    pthread_kill(waiter.native_handle(), SIGUSR2);
    const bool in_time = now(clock_source::monotonic) < lease_ends;
    // One that holds already may have ended before the signal came.
    EXPECT_TRUE(wait_for([&] { return was_held_up.load() || claim->granted.load(); }, patience));
    waiter.join();
    if (!in_time || !was_held_up.load() || expired.load()) {
        return std::nullopt;
    }
    EXPECT_TRUE(claim->granted.load());
    return granted_at - instant(std::chrono::nanoseconds(went_on_ns.load()));
}

TEST_F(late_timer, of_a_waiting_thread_grants_a_third_of_a_ttl_more) {
    constexpr auto ttl = 1500ms;
    constexpr auto held_up =
        2 * ttl / 3 + holders_ttl; // Late by more than a third, whenever it began to sleep.
    struct sigaction how {};
    struct sigaction before {};
    how.sa_handler = hold_up;
    ASSERT_EQ(sigaction(SIGUSR2, &how, &before), 0);
    const auto memory = local::open_segment(folder_.path().string(), soon()).value();
    std::optional<std::chrono::nanoseconds> waited;
    for (int turn = 0; turn < 5 && !waited; ++turn) {
        const auto impatient = store_->open({.id = {3}, .ttl = ttl, .who = {}}, soon()).value();
        hold();
        waited = patience_after(*memory, *impatient, expires_, held_up);
    }
    sigaction(SIGUSR2, &before, nullptr);
    if (!waited) {
        GTEST_SKIP() << "the machine is too slow to show anything";
    }
    EXPECT_GE(*waited, ttl / 3);
}

TEST_F(late_timer, of_the_stores_own_thread_grants_a_third_of_a_ttl_more) {
    constexpr auto ttl = 600s;
    hold();
    const auto memory = local::open_segment(folder_.path().string(), soon()).value();
    const auto on = std::make_shared<local::engine>(memory);
    auto sits = local::seat::take(on, {.id = {4}, .ttl = ttl, .who = {}}).value();
    // The engine does not know it: its turns are ours.
    const auto session = std::make_shared<local::session>(std::move(sits));
    const auto claim = std::make_shared<patient_claim>(4);
    session->append(claim, false);
    std::vector<local::futex_watch> watches;
    const auto turn = [&](instant at, std::chrono::nanoseconds late) {
        watches.clear();
        local::attendance made{
            .watches = watches, .until = instant::max(), .now = at, .late = late, .adopt = true};
        session->attend(made);
        return made.until;
    };
    turn(present(), 0ns);
    ASSERT_TRUE(wait_for([&] { return present() > expires_; }, patience));
    const instant at = present();
    const instant look_again = turn(at, ttl / 3 + 1ns);
    EXPECT_FALSE(claim->granted.load()) << "the other one may have been held up as we were";
    EXPECT_EQ(look_again, at + ttl / 3);
    turn(look_again - 1ns, 0ns);
    EXPECT_FALSE(claim->granted.load());
    // The line may be in the hands of the holder's own store at that moment: then the next turn does it.
    EXPECT_TRUE(wait_for(
        [&] {
            turn(look_again, 0ns);
            return claim->granted.load();
        },
        patience));
}

TEST_F(late_timer, in_time_nobody_waits_any_longer) {
    hold();
    const auto session = store_->open({.id = {5}, .ttl = 600s, .who = {}}, soon()).value();
    const auto claim = std::make_shared<patient_claim>(5);
    session->append(claim, false);
    EXPECT_TRUE(wait_for([&] { return claim->granted.load(); }, patience)); // A third of its TTL is 200 s.
}

} // namespace
} // namespace holdfast::testing
