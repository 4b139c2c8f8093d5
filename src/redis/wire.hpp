// One connection's bytes: TCP, TLS over TCP, or a Unix socket. It is opened once and never reopened.
//
// Used from inside the loop only. Boost.Asio and OpenSSL stay in wire.cpp (and the context in loop.cpp).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "loop.hpp"
#include "settings.hpp"

namespace holdfast::redis {

class wire {
  public:
    /// None of them is called after close(), nor from inside write() or close().
    struct events {
        std::function<void()> on_open;
        std::function<void(std::string_view bytes)> on_bytes;
        std::function<void(error why)> on_down; ///< Unavailable or config. The last event.
    };

    virtual ~wire() = default;

    /// Starts to connect.
    static std::shared_ptr<wire> open(loop& io, const settings& where, events tell);

    /// Sends the bytes, after what was given before, and leaves the string empty.
    virtual void write(std::string& bytes) = 0;
    virtual void close() = 0;
};

} // namespace holdfast::redis
