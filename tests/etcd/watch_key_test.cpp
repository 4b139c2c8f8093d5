// How the watcher follows a hold that nobody waits behind: what it asks of the server, and what it makes of
// the answers. The server's side is played here.
#include "etcd/watcher.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>

#include <gtest/gtest.h>

#include "etcd/keys.hpp"
#include "support/wait_for.hpp"

namespace holdfast::etcd {
namespace {

using namespace std::chrono_literals;
using holdfast::testing::wait_for;

constexpr std::int64_t own_revision = 41;

class played_stream final : public stream {
  public:
    void queue(std::string bytes) override {
        const std::lock_guard lock(mutex_);
        queued_.push_back(std::move(bytes));
    }
    void flush() override {}
    void cancel() override {}
    std::vector<std::string> queued() const {
        const std::lock_guard lock(mutex_);
        return queued_;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<std::string> queued_;
};

class played_calls final : public transport {
  public:
    void call(const char* method, std::string request, instant, repeat, completion done) override {
        EXPECT_STREQ(method, method::range);
        const std::lock_guard lock(mutex_);
        reads_.emplace_back(std::move(request), std::move(done));
    }
    std::shared_ptr<stream> open(const char*, bool, stream_events to) override {
        const std::lock_guard lock(mutex_);
        events_ = std::move(to);
        return streams_.emplace_back(std::make_shared<played_stream>());
    }
    void avoid_endpoint() override {}
    void drop_token() override {}

    /// What has been asked on the stream with this number, once there is one.
    std::vector<std::string> asked(std::size_t number) const {
        const std::lock_guard lock(mutex_);
        return number < streams_.size() ? streams_[number]->queued() : std::vector<std::string>{};
    }
    void says(const std::string& bytes) { events().on_message(bytes); }
    void breaks() { events().on_closed({rpc_code::unavailable, "broken", {}, {}, true}); }
    std::size_t reads() const {
        const std::lock_guard lock(mutex_);
        return reads_.size();
    }
    std::string request(std::size_t number) const {
        const std::lock_guard lock(mutex_);
        return reads_.at(number).first;
    }
    void answer_read(std::size_t number, std::string body) {
        completion done;
        {
            const std::lock_guard lock(mutex_);
            done = reads_.at(number).second;
        }
        done({rpc_code::ok, {}, std::move(body), {}, true});
    }

  private:
    stream_events events() const {
        const std::lock_guard lock(mutex_);
        return events_;
    }
    mutable std::mutex mutex_;
    std::vector<std::shared_ptr<played_stream>> streams_;
    stream_events events_;
    std::vector<std::pair<std::string, completion>> reads_;
};

class hearing_claim final : public claim_events {
  public:
    hearing_claim() : claim_events({.name = resource_name::make("n").value(), .id = {}}) {}
    void on_waiting() noexcept override {}
    void on_granted(token) noexcept override {}
    void on_refused(error) noexcept override {}
    void on_renewed(instant) noexcept override {}
    void on_lost(loss_reason why) noexcept override { lost = why; }
    void on_removed(result<void>) noexcept override {}
    std::atomic<loss_reason> lost{loss_reason::none};
};

// Protobuf as etcd writes it, for numbers below 128 and texts as short.
std::string field(char number, char value) {
    return std::string(1, static_cast<char>(number << 3)) + value;
}
std::string field(char number, const std::string& bytes) {
    return std::string(1, static_cast<char>(number << 3 | 2)) + static_cast<char>(bytes.size()) + bytes;
}
std::string header_at(char revision) {
    return field(1, field(3, revision));
}
std::string created(char watch_id, char revision) {
    return header_at(revision) + field(2, watch_id) + field(3, '\1');
}
std::string cancelled(char watch_id, char revision) {
    return header_at(revision) + field(2, watch_id) + field(4, '\1');
}
std::string deletion(const std::string& key, char watch_id, char revision) {
    const std::string kv = field(1, key) + field(3, revision);
    return header_at(revision) + field(2, watch_id) + field(11, field(1, '\1') + field(2, kv));
}

class etcd_watch_key : public ::testing::Test {
  protected:
    etcd_watch_key() {
        {
            const core::latch_guard locked(held_->guard);
            held_->keep(entry_);
            held_->now = record::phase::granted;
            held_->create_revision = own_revision;
        }
        watching_.follow_later(held_);
    }
    ~etcd_watch_key() override {
        watching_.stop();
        held_->abandon();
    }
    /// Waits until this is the last that was asked on the stream with this number.
    bool last_asked(std::size_t stream_number, const std::string& what) const {
        return wait_for(
            [&] {
                const auto all = calls_.asked(stream_number);
                return !all.empty() && all.back() == what;
            },
            10s);
    }
    std::string from_birth() const { return encode_watch(held_->key, {}, own_revision); }
    std::string from_now_on() const { return encode_watch(held_->key, {}, 0); }

    played_calls calls_;
    watcher watching_{calls_, 5s};
    std::shared_ptr<hearing_claim> entry_ = std::make_shared<hearing_claim>();
    std::shared_ptr<record> held_ =
        std::make_shared<record>("n/", claim_key("n/", 7, entry_->claim()), entry_->claim());
};

TEST_F(etcd_watch_key, its_deletion_is_a_loss_without_any_reading) {
    ASSERT_TRUE(last_asked(0, from_birth()));
    calls_.says(created(3, 50));
    calls_.says(deletion(held_->key, 4, 51));
    EXPECT_EQ(entry_->lost, loss_reason::none) << "that is another watch's";
    calls_.says(deletion(held_->key, 3, 52));
    EXPECT_EQ(entry_->lost, loss_reason::revoked);
    EXPECT_EQ(calls_.reads(), 0U);
    EXPECT_TRUE(last_asked(0, encode_watch_cancel(3)));
}

TEST_F(etcd_watch_key, a_hold_that_ends_before_its_watch_is_created_leaves_none) {
    ASSERT_TRUE(last_asked(0, from_birth()));
    watching_.forget(*held_);
    calls_.says(created(3, 50));
    calls_.says(deletion(held_->key, 3, 51));
    EXPECT_EQ(entry_->lost, loss_reason::none);
    EXPECT_TRUE(last_asked(0, encode_watch_cancel(3)));
}

TEST_F(etcd_watch_key, after_a_break_it_is_watched_from_now_on_and_read) {
    ASSERT_TRUE(last_asked(0, from_birth()));
    calls_.says(created(3, 50));
    calls_.breaks();
    ASSERT_TRUE(last_asked(1, from_now_on()));
    calls_.says(created(0, 60));
    range_request own;
    own.key = held_->key;
    own.keys_only = true;
    ASSERT_EQ(calls_.reads(), 1U);
    EXPECT_EQ(calls_.request(0), encode(own));
    calls_.answer_read(0, header_at(60));
    EXPECT_EQ(entry_->lost, loss_reason::revoked);
}

TEST_F(etcd_watch_key, a_reading_from_before_the_watch_is_none) {
    ASSERT_TRUE(last_asked(0, from_birth()));
    calls_.says(created(3, 50));
    calls_.breaks();
    ASSERT_TRUE(last_asked(1, from_now_on()));
    calls_.says(created(0, 60));
    calls_.answer_read(0, header_at(59));
    EXPECT_EQ(entry_->lost, loss_reason::none) << "a member that is behind";
    ASSERT_TRUE(wait_for([&] { return calls_.asked(1).size() >= 2; }, 10s)) << "it is watched once more";
    calls_.says(created(1, 61));
    ASSERT_EQ(calls_.reads(), 2U);
    calls_.answer_read(1, header_at(61));
    EXPECT_EQ(entry_->lost, loss_reason::revoked);
}

// What the server does with a watch whose start has been compacted away.
TEST_F(etcd_watch_key, a_watch_that_the_server_cancels_is_opened_anew) {
    ASSERT_TRUE(last_asked(0, from_birth()));
    calls_.says(created(3, 50));
    calls_.says(cancelled(3, 50));
    ASSERT_TRUE(wait_for(
        [&] {
            const auto all = calls_.asked(0);
            return std::ranges::find(all, from_now_on()) != all.end();
        },
        10s));
    EXPECT_EQ(entry_->lost, loss_reason::none);
}

// What came on the old stream last may be handed over late.
TEST_F(etcd_watch_key, a_reading_for_a_stream_that_is_over_says_nothing) {
    ASSERT_TRUE(last_asked(0, from_birth()));
    calls_.says(created(3, 50));
    calls_.breaks();
    ASSERT_TRUE(last_asked(1, from_now_on()));
    calls_.says(created(0, 60));
    calls_.breaks();
    ASSERT_TRUE(last_asked(2, from_now_on()));
    calls_.answer_read(0, header_at(60));
    EXPECT_EQ(entry_->lost, loss_reason::none);
}

} // namespace
} // namespace holdfast::etcd
