// One connection to a Redis server, kept up: requests in a pipeline, answered in order; reconnect with
// backoff.
//
// Used from inside the loop only. A request that was sent and not answered in time takes the connection down
// with it, as replies carry no number. It never sends a request twice.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "loop.hpp"
#include "resp.hpp"
#include "sentinel.hpp"
#include "settings.hpp"
#include "wire.hpp"

namespace holdfast::redis {

/// What a request came to: the server's reply (perhaps an error reply), or unavailable (never sent),
/// unauthorized (never sent), unknown_outcome (sent, no reply). sent_at is from before the first byte left;
/// zero if none did.
using reply_handler = std::function<void(result<reply> outcome, instant sent_at)>;

class connection : public std::enable_shared_from_this<connection> {
  public:
    /// For messages: everything the server sends, and every time the connection is (again) open.
    struct message_events {
        std::function<void(const reply& pushed)> on_message;
        std::function<void()> on_ready;
        std::function<void(const error& why)> on_down;
    };

    /// `as` says whether it takes commands or messages.
    connection(loop& io, const settings& where, channel as) : io_(io), where_(where), channel_(as) {}
    void listen(message_events tell) { listener_ = std::move(tell); }

    /// Sends now, or once connected. Ends at give_up at the latest.
    void request(std::span<const std::string_view> words, instant give_up, reply_handler handler);
    void request(std::initializer_list<std::string_view> words, instant give_up, reply_handler handler) {
        request(std::span<const std::string_view>(words.begin(), words.size()), give_up, std::move(handler));
    }

    /// For messages: sends without expecting a reply in turn; dropped while not connected.
    void tell(std::initializer_list<std::string_view> words);

    /// Connects if there is no connection, no sooner than the backoff allows.
    void want();

    bool ready() const noexcept { return state_ == state::ready; }

    /// Hands what has been written to the kernel.
    void flush();

    /// Ends it for good.
    void close();

  private:
    enum class state { down, connecting, greeting, ready, closed };

    struct pending {
        reply_handler handler;
        instant give_up{};
        instant sent_at{};
        std::string bytes; ///< While not sent.
    };

    void connect();
    void open(const settings& at);
    void greet();
    void greeted();
    void take(std::string_view bytes);
    void answer(reply got);
    void drop(const error& why);
    void fail_all(std::deque<pending>& waiting, const error& why);
    void watch(instant give_up);
    void check_time();
    void back_off();

    loop& io_;
    const settings where_;
    const channel channel_;
    message_events listener_;

    state state_ = state::down;
    std::shared_ptr<sentinel_search> search_;
    std::shared_ptr<wire> wire_;
    std::unique_ptr<reply_reader> reader_;
    std::string out_;
    std::deque<pending> sent_;
    std::deque<pending> queued_; ///< Waiting for a connection.
    std::size_t greetings_left_ = 0;
    std::chrono::nanoseconds backoff_{};
    instant connect_at_{};       ///< Not before.
    bool connect_timed_ = false; ///< A timer will call connect().
    instant connect_until_{};
    instant watched_ = instant::max(); ///< When check_time() comes next.
};

} // namespace holdfast::redis
