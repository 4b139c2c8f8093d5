// Calls to an etcd cluster by full method name: connections, failover between endpoints, authentication,
// deadlines.
//
// Thread-safe. No gRPC type shows here, so that few files pay for its headers. Replies come on the thread
// that leads (rpc_loop.hpp), never under a lock of ours, also when the call cannot be made at all (then
// possibly before the call returns). It does not know what a request means: whoever calls says whether it may
// be sent twice.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <holdfast/store.hpp>

#include "settings.hpp"

namespace holdfast::etcd {

/// The codes of gRPC that we tell apart; the numbers are gRPC's.
enum class rpc_code {
    ok = 0,
    cancelled = 1,
    unknown = 2,
    invalid_argument = 3,
    deadline_exceeded = 4,
    not_found = 5,
    permission_denied = 7,
    resource_exhausted = 8,
    failed_precondition = 9,
    out_of_range = 11,
    unimplemented = 12,
    internal = 13,
    unavailable = 14,
    data_loss = 15,
    unauthenticated = 16,
};

/// What a call came to.
struct outcome {
    rpc_code code = rpc_code::ok;
    std::string message;
    std::string body;
    std::string endpoint; ///< Whom it was meant for.
    bool sent = false;    ///< False: certainly never handed to a connection.

    bool ok() const noexcept { return code == rpc_code::ok; }
};

using completion = std::function<void(outcome)>;

/// Whether a request that may have been executed may be sent once more.
enum class repeat { never, freely };

/// Both directions of one streaming call. Ends once, with on_closed; sends nothing afterwards.
class stream {
  public:
    virtual ~stream() = default;
    /// Puts it behind what is queued; cheap, may be called under a lock, and sends nothing by itself.
    virtual void queue(std::string bytes) = 0;
    /// Sends what is queued, in order.
    virtual void flush() = 0;
    /// on_closed follows soon.
    virtual void cancel() = 0;
};

struct stream_events {
    std::function<void(std::string_view bytes)> on_message; ///< One at a time, in order.
    std::function<void(const outcome& why)> on_closed;      ///< Last.
};

class transport {
  public:
    static std::unique_ptr<transport> make(const settings& how);
    /// Whether make() may be called: gRPC hangs in a child of a process that has used it, and aborts a
    /// process that is out of descriptors. Errors: misuse, unavailable.
    static result<void> possible_here();
    /// Cancels what is under way and returns once no callback runs any more. Not from inside a callback.
    virtual ~transport() = default;

    /// One request, one reply. Ends at the deadline at the latest. It goes to another endpoint when it
    /// certainly was not sent, or may be repeated.
    virtual void call(const char* method, std::string request, instant deadline, repeat again,
                      completion done) = 0;

    /// The same, for a caller who waits. Also from inside a callback.
    outcome call_and_wait(const char* method, std::string request, instant deadline, repeat again);

    /// Opens a stream to the present endpoint; `needs_leader`: the server ends it when it has lost its
    /// leader.
    virtual std::shared_ptr<stream> open(const char* method, bool needs_leader, stream_events events) = 0;

    /// Lends the calling thread until the place is notified or the instant has passed; may return early.
    virtual void drive(parking_place& place, instant until);
    /// The place has been notified: makes a thread that drives for it look.
    virtual void wake(parking_place& place) noexcept;

    /// The next stream and the next call go to another endpoint, where there is one.
    virtual void avoid_endpoint() = 0;
    /// The server does not take our token any more: the next call authenticates again.
    virtual void drop_token() = 0;

    /// True on a thread that is inside one of our callbacks, or belongs to us.
    static bool inside_callback() noexcept;
    /// The calling thread is one of the store's own.
    static void mark_own_thread() noexcept;
};

/// The server's way of saying that our token is not valid (any more), in a status or a watch's reason.
bool is_stale_token(rpc_code code, std::string_view message) noexcept;

} // namespace holdfast::etcd
