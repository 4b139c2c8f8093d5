// Asks sentinels, one after another, where the master is.
//
// Used from inside the loop only. What a sentinel says is untrusted like every reply, and may be old: whoever
// connects to the place asks there whether it is a master (connection.cpp).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "loop.hpp"
#include "resp.hpp"
#include "settings.hpp"
#include "wire.hpp"

namespace holdfast::redis {

class sentinel_search : public std::enable_shared_from_this<sentinel_search> {
  public:
    using handler = std::function<void(result<core::endpoint> master)>;

    /// Calls the handler once, from inside the loop and not from inside this call, unless the search is ended
    /// before. Every sentinel has its share of the time.
    static std::shared_ptr<sentinel_search> start(loop& io, const settings& where, handler found);
    /// Ends it; the handler is not called any more.
    void end();

    /// The address in a reply to SENTINEL get-master-addr-by-name; nothing for anything else.
    static std::optional<core::endpoint> read(const reply& got);

  private:
    sentinel_search(loop& io, const settings& where, handler found)
        : io_(io), where_(where), found_(std::move(found)) {}
    void ask_next();
    void take(std::string_view bytes);
    void failed(const std::string& why);
    void finish(result<core::endpoint> master);
    void stop_timer();

    loop& io_;
    const settings where_;
    handler found_;
    std::size_t next_ = 0;
    std::string trouble_; ///< What each said, for people.
    std::shared_ptr<wire> wire_;
    std::unique_ptr<reply_reader> reader_;
    std::optional<loop::timer> late_;
};

} // namespace holdfast::redis
