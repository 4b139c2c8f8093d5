#include "keep_alive.hpp"

#include <algorithm>
#include <limits>

#include "errors.hpp"
#include "keys.hpp"
#include "messages.hpp"

#include "core/boottime.hpp"

namespace holdfast::etcd {
namespace {

constexpr std::int64_t max_ttl_s =
    100LL * 365 * 24 * 3600; ///< An answer above this is nonsense, and would overflow.

} // namespace

error keep_alive::gone() const {
    return {errc::lost, "renewing the lease " + lease_hex(lease_) + ": etcd does not know it any more"};
}

result<renewal> keep_alive::renew(instant give_up) {
    // The second attempt is for a stream that had broken since the last renewal, unnoticed.
    for (bool again = true;;) {
        result<renewal> answer = once(give_up, again);
        if (answer || !again || answer.error().code() != errc::unavailable || boottime() >= give_up) {
            return answer;
        }
        again = false;
    }
}

result<renewal> keep_alive::once(instant give_up, bool& again) {
    std::shared_ptr<stream> pulse;
    std::uint64_t number = 0;
    {
        const std::lock_guard lock(mutex_);
        if (lost_ || stopped_) {
            return gone();
        }
        pulse = stream_;
        if (!pulse) {
            again = false; // A new stream that fails tells the truth.
            number = ++number_;
            unanswered_.clear();
            broken_.reset();
        }
    }
    if (!pulse) {
        // The callbacks keep us alive; the transport ends the stream before it goes.
        stream_events events;
        events.on_message = [self = shared_from_this(), number](std::string_view bytes) {
            self->on_message(number, bytes);
        };
        events.on_closed = [self = shared_from_this(), number](const outcome& why) {
            self->on_closed(number, why);
        };
        pulse = calls_.open(method::lease_keep_alive, true, std::move(events));
    }
    std::unique_lock lock(mutex_);
    if (stopped_) {
        lock.unlock();
        pulse->cancel(); // stop() came while it was being opened, and has not seen it.
        return gone();
    }
    if (!broken_) {
        stream_ = pulse;
    }
    const instant sent_at = boottime();
    unanswered_.push_back(sent_at);
    lock.unlock();
    pulse->queue(encode_lease_keep_alive(lease_));
    pulse->flush();
    lock.lock();
    const auto answered = [&] {
        return lost_ || stopped_ || broken_.has_value() || (latest_ && latest_->sent_at >= sent_at);
    };
    while (!answered()) {
        const auto left = give_up - boottime();
        if (left <= std::chrono::nanoseconds::zero()) {
            break;
        }
        changed_.wait_for(lock, std::min<std::chrono::nanoseconds>(left, std::chrono::hours(1)));
    }
    if (lost_ || stopped_) {
        return gone();
    }
    if (latest_ && latest_->sent_at >= sent_at) {
        return *latest_;
    }
    if (broken_) {
        return to_error(*broken_, "renewing the lease", effect::none);
    }
    // The member may hang with its connection open. The next attempt goes to another, while there is time.
    ++number_;
    stream_.reset();
    unanswered_.clear();
    lock.unlock();
    pulse->cancel();
    calls_.avoid_endpoint();
    return error(errc::unavailable, "renewing the lease: etcd did not answer in time");
}

void keep_alive::on_message(std::uint64_t number, std::string_view bytes) {
    lease_reply reply;
    const bool understood = decode_lease_keep_alive(bytes, reply);
    std::shared_ptr<stream> bad;
    {
        const std::lock_guard lock(mutex_);
        if (number != number_ || stopped_) {
            return;
        }
        if (!understood || unanswered_.empty() || reply.id != lease_ || reply.ttl_s > max_ttl_s) {
            bad = stream_;
        } else if (head_ = reply.head; reply.ttl_s <= 0) {
            lost_ = true;
        } else {
            latest_ = renewal{unanswered_.front(), std::chrono::seconds(reply.ttl_s)};
            unanswered_.pop_front();
        }
    }
    changed_.notify_all();
    if (bad) {
        bad->cancel();
    }
}

void keep_alive::on_closed(std::uint64_t number, const outcome& why) {
    if (is_stale_token(why.code, why.message)) {
        calls_.drop_token();
    }
    {
        const std::lock_guard lock(mutex_);
        if (number != number_) {
            return;
        }
        stream_.reset();
        unanswered_.clear();
        lost_ = lost_ || is_lease_gone(why);
        broken_ = why;
    }
    changed_.notify_all();
}

header keep_alive::head() {
    const std::lock_guard lock(mutex_);
    return head_;
}

void keep_alive::stop() {
    std::shared_ptr<stream> last;
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        last.swap(stream_);
    }
    changed_.notify_all();
    if (last) {
        last->cancel();
    }
}

} // namespace holdfast::etcd
