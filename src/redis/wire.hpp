// One connection's bytes: TCP, TLS over TCP, or a Unix socket. It is opened once and never reopened.
//
// Used from inside the loop only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "connector.hpp"
#include "loop.hpp"
#include "settings.hpp"
#include "tls.hpp"

namespace holdfast::redis {

class wire final : public source, public std::enable_shared_from_this<wire> {
  public:
    /// None of them is called after close(), nor from inside write() or close().
    struct events {
        std::function<void()> on_open;
        std::function<void(std::string_view bytes)> on_bytes;
        std::function<void(error why)> on_down; ///< Unavailable or config. The last event.
    };

    /// Starts to connect. Callers who wait for the channel will sleep on this connection once it is open.
    static std::shared_ptr<wire> open(loop& io, const settings& where, channel as, events tell);

    wire(loop& io, const settings& where, channel as, events tell)
        : io_(io), shown_(where.shown()), tcp_(where.socket_path.empty()), channel_(as),
          tell_(std::move(tell)) {}
    ~wire() override;
    wire(const wire&) = delete;
    wire& operator=(const wire&) = delete;

    /// Sends the bytes, after what was given before, and leaves the string empty.
    void write(std::string& bytes);
    void close();

    int descriptor() const noexcept override { return descriptor_; }
    void receive() override;
    void send_rest() override;

  private:
    void opened(result<connected> outcome);
    bool take(std::string_view bytes);
    void send();
    void abandon();
    void down(const std::string& why);

    loop& io_;
    const std::string shown_;
    const bool tcp_;
    const channel channel_;
    const events tell_;
    std::shared_ptr<connector> connector_; ///< Until it is open.
    int descriptor_ = -1;
    std::unique_ptr<tls_filter> tls_;
    std::string outgoing_; ///< Not yet given to the kernel.
    bool stuck_ = false;   ///< The kernel has no room for it.
    bool closed_ = false;
};

} // namespace holdfast::redis
