// The stream on which one session's lease is renewed.
//
// Thread-safe; renew() is called by one thread at a time. The server answers each request once and in order,
// so the k-th answer belongs to the k-th request: an answer that comes late is counted from its own request,
// never from a later one. A stream that broke is opened again by the next renewal.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include <holdfast/store.hpp>

#include "messages.hpp"
#include "rpc.hpp"

namespace holdfast::etcd {

class keep_alive : public std::enable_shared_from_this<keep_alive> {
  public:
    keep_alive(transport& calls, std::int64_t lease) : calls_(calls), lease_(lease) {}

    /// Blocks until the server has confirmed a request not older than this call's, or until give_up.
    /// Errors: lost (the lease is gone), unavailable, unauthorized. A renewal has no unknown outcome: one
    /// that may have been executed does no harm, and does not count.
    result<renewal> renew(instant give_up);

    /// Of the last answer.
    header head();

    /// Ends the stream. renew() afterwards says lost.
    void stop();

  private:
    result<renewal> once(instant give_up, bool& again);
    void on_message(std::uint64_t number, std::string_view bytes);
    void on_closed(std::uint64_t number, const outcome& why);
    error gone() const;

    transport& calls_;
    const std::int64_t lease_;

    // A plain mutex: the thread that renews sleeps on it.
    std::mutex mutex_;
    std::condition_variable changed_;
    std::shared_ptr<stream> stream_;
    std::uint64_t number_ = 0;       // Of the stream.
    std::deque<instant> unanswered_; // When each was about to be sent.
    std::optional<renewal> latest_;
    header head_;
    std::optional<outcome> broken_; // Why the stream of that number ended.
    bool lost_ = false;
    bool stopped_ = false;
};

} // namespace holdfast::etcd
