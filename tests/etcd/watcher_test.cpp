// What the watcher asks of the server, seen through a transport that only writes it down.
#include "etcd/watcher.hpp"

#include <gtest/gtest.h>

#include "etcd/keys.hpp"

namespace holdfast::etcd {
namespace {

class written_stream final : public stream {
  public:
    void queue(std::string bytes) override { queued.push_back(std::move(bytes)); }
    void flush() override {}
    void cancel() override { cancelled = true; }
    std::vector<std::string> queued;
    bool cancelled = false;
};

class written_calls final : public transport {
  public:
    void call(const char*, std::string, instant, repeat, completion done) override {
        reads.push_back(std::move(done));
    }
    std::shared_ptr<stream> open(const char*, bool needs_leader, stream_events to) override {
        EXPECT_TRUE(needs_leader) << "a member that is cut off would be silent for ever";
        opened = std::make_shared<written_stream>();
        events = std::move(to);
        return opened;
    }
    void avoid_endpoint() override { ++avoided; }
    void drop_token() override {}
    std::shared_ptr<written_stream> opened;
    int avoided = 0;
    stream_events events;
    std::vector<completion> reads;
};

// Any other start revision, however new, puts the watch among those that the server serves every 100 ms only.
TEST(etcd_watcher, a_line_is_watched_from_now_on_once_for_all_its_claims) {
    written_calls calls;
    watcher watching(calls, std::chrono::seconds(5));
    claim what{.name = resource_name::make("n").value(), .id = {}};
    for (const std::uint64_t number : {1U, 2U}) {
        what.id.number = number;
        watching.follow(std::make_shared<record>("n/", claim_key("n/", 7, what), what), 41);
    }
    watching.stop();
    ASSERT_TRUE(calls.opened);
    EXPECT_EQ(calls.opened->queued, std::vector<std::string>{encode_watch("n/", "n0", 0)});
}

// What etcd answers to a question for progress, as far as we read it: ResponseHeader{revision} and watch -1.
std::string progress_at(char revision) {
    return std::string("\x0a\x02\x18") + revision + "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
}

// A member that hangs or is cut off keeps the connection open and says nothing: E#7247, E#8980.
TEST(etcd_watcher, a_stream_that_does_not_keep_up_is_left_after_two_questions) {
    written_calls calls;
    watcher watching(calls, std::chrono::seconds(5));
    claim what{.name = resource_name::make("n").value(), .id = {}};
    watching.follow(std::make_shared<record>("n/", claim_key("n/", 7, what), what), 41);
    ASSERT_TRUE(calls.opened);
    watching.expect_progress(50);
    EXPECT_EQ(calls.opened->queued.back(), encode_watch_progress());
    calls.events.on_message(progress_at(50));
    watching.expect_progress(60);
    watching.expect_progress(70);
    EXPECT_FALSE(calls.opened->cancelled) << "one answer may be late";
    calls.events.on_message(progress_at(70));
    watching.expect_progress(80);
    calls.events.on_message(progress_at(75)); // Cut off from the others: its own past is all it knows.
    watching.expect_progress(90);
    EXPECT_FALSE(calls.opened->cancelled);
    watching.expect_progress(100);
    EXPECT_TRUE(calls.opened->cancelled);
    EXPECT_EQ(calls.avoided, 1);
    watching.stop();
}

// A call that is under way takes 12 KB in gRPC, and a stream that breaks has every line read anew.
TEST(etcd_watcher, many_lines_are_read_some_at_a_time_and_all_in_the_end) {
    constexpr char lines = 100;
    written_calls calls;
    watcher watching(calls, std::chrono::seconds(5));
    for (char i = 0; i < lines; ++i) {
        const std::string name = "n" + std::to_string(i);
        const claim what{.name = resource_name::make(name).value(), .id = {}};
        watching.follow(std::make_shared<record>(name + "/", claim_key(name + "/", 7, what), what), 41);
    }
    ASSERT_TRUE(calls.opened);
    for (char i = 0; i < lines; ++i) { // WatchResponse{watch_id, created}
        calls.events.on_message(std::string("\x10") + i + "\x18\x01");
    }
    EXPECT_LE(calls.reads.size(), 32U);
    ASSERT_GT(calls.reads.size(), 0U);
    for (std::size_t i = 0; i < calls.reads.size(); ++i) { // Grows with the answers.
        const completion done = calls.reads[i];
        done({rpc_code::unavailable, "no", {}, {}, true});
    }
    EXPECT_EQ(calls.reads.size(), static_cast<std::size_t>(lines)) << "one that failed gives way, too";
    watching.stop();
}

} // namespace
} // namespace holdfast::etcd
