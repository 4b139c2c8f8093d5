// Makes one connection: resolves, connects, shakes hands. Boost.Asio stays in connector.cpp and loop.cpp.
//
// It runs on the loop's background thread.
#pragma once

#include <functional>
#include <memory>

#include "loop.hpp"
#include "settings.hpp"
#include "tls.hpp"

namespace holdfast::redis {

/// An open socket, which does not block, and whoever has it closes it.
struct connected {
    int descriptor = -1;
    std::unique_ptr<tls_filter> tls; ///< Null: in the clear.
};

class connector {
  public:
    /// Called inside the loop, once, unless it was cancelled before. Errors: unavailable, config.
    using handler = std::function<void(result<connected> outcome)>;

    virtual ~connector() = default;
    static std::shared_ptr<connector> start(loop& io, const settings& where, handler done);

    /// Inside.
    virtual void cancel() = 0;
};

} // namespace holdfast::redis
