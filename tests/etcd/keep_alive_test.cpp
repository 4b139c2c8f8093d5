// What counts as a renewal, on a stream that says what the test wants.
#include "etcd/keep_alive.hpp"

#include <gtest/gtest.h>

#include "core/boottime.hpp"

namespace holdfast::etcd {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t pulse_lease = 7;

// LeaseKeepAliveResponse{ID, TTL}, as far as we read it.
std::string pulse_answer(char ttl_s, char lease = pulse_lease) {
    return std::string("\x10") + lease + "\x18" + ttl_s;
}

class pulse_calls final : public transport {
  public:
    void call(const char*, std::string, instant, repeat, completion) override {}
    std::shared_ptr<stream> open(const char*, bool, stream_events to) override {
        events.push_back(std::move(to));
        return std::make_shared<pulse>(*this, events.size() - 1);
    }
    void avoid_endpoint() override { ++avoided; }
    void drop_token() override {}

    std::string answer;          ///< To every request, at once; "" for none.
    bool old_one_speaks = false; ///< The answer comes on the first stream, whatever was asked where.
    std::vector<stream_events> events;
    int avoided = 0;
    int cancelled = 0;

  private:
    class pulse final : public stream {
      public:
        pulse(pulse_calls& owner, std::size_t number) : owner_(owner), number_(number) {}
        void queue(std::string) override {}
        void flush() override {
            if (!owner_.answer.empty()) {
                owner_.events[owner_.old_one_speaks ? 0 : number_].on_message(owner_.answer);
            }
        }
        void cancel() override { ++owner_.cancelled; }

      private:
        pulse_calls& owner_;
        std::size_t number_;
    };
};

struct pulse_world {
    pulse_calls calls;
    std::shared_ptr<keep_alive> lease = std::make_shared<keep_alive>(calls, pulse_lease);
    ~pulse_world() {
        lease->stop();
        calls.events.clear(); // They keep the lease alive.
    }
    result<renewal> renew() { return lease->renew(boottime() + 50ms); }
};

TEST(etcd_keep_alive, an_answer_is_counted_from_before_its_request) {
    pulse_world world;
    world.calls.answer = pulse_answer(10);
    const instant before = boottime();
    const auto renewed = world.renew();
    ASSERT_TRUE(renewed);
    EXPECT_EQ(renewed->ttl, 10s);
    EXPECT_GE(renewed->sent_at, before);
    EXPECT_TRUE(world.renew());
    EXPECT_EQ(world.calls.events.size(), 1U) << "one stream for all renewals";
}

// E#21638: what lay in a buffer when the lease was revoked.
TEST(etcd_keep_alive, an_answer_read_after_the_lease_was_gone_revives_nothing) {
    pulse_world world;
    world.calls.answer = pulse_answer(0);
    const auto gone = world.renew();
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().code(), errc::lost);
    world.calls.events.back().on_message(pulse_answer(10));
    world.calls.answer = pulse_answer(10);
    const auto later = world.renew();
    ASSERT_FALSE(later);
    EXPECT_EQ(later.error().code(), errc::lost);
}

TEST(etcd_keep_alive, an_answer_on_a_stream_that_was_given_up_is_dropped) {
    pulse_world world;
    EXPECT_EQ(world.renew().error().code(), errc::unavailable);
    EXPECT_EQ(world.calls.cancelled, 1);
    EXPECT_EQ(world.calls.avoided, 1) << "the member hangs: another one is next";
    world.calls.answer = pulse_answer(10);
    world.calls.old_one_speaks = true;
    const auto late = world.renew();
    ASSERT_FALSE(late) << "it would be counted from a request that it does not answer";
    EXPECT_EQ(late.error().code(), errc::unavailable);
    world.calls.old_one_speaks = false;
    EXPECT_TRUE(world.renew());
}

TEST(etcd_keep_alive, an_answer_for_another_lease_renews_nothing) {
    pulse_world world;
    world.calls.answer = pulse_answer(10, pulse_lease + 1);
    EXPECT_FALSE(world.renew());
    EXPECT_GE(world.calls.cancelled, 1);
}

} // namespace
} // namespace holdfast::etcd
