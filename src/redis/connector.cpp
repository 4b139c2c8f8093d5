#include "connector.hpp"

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <netinet/tcp.h>
#include <optional>

namespace holdfast::redis {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using endpoint = asio::generic::stream_protocol::endpoint;

class asio_connector final : public connector, public std::enable_shared_from_this<asio_connector> {
  public:
    asio_connector(loop& io, const settings& where, handler done)
        : io_(io), where_(where), done_(std::move(done)), socket_(io.context()), resolver_(io.context()) {}

    void start() { asio::co_spawn(io_.context(), run(shared_from_this()), asio::detached); }

    // The socket belongs to the background thread until it is handed over.
    void cancel() override {
        cancelled_ = true;
        asio::post(io_.context(), [self = shared_from_this()] {
            error_code ignored;
            self->socket_.close(ignored);
            self->resolver_.cancel();
        });
    }

  private:
    static asio::awaitable<void> run(std::shared_ptr<asio_connector> self) {
        std::optional<error> problem;
        connected made;
        try {
            co_await self->connect();
            if (self->where_.tls) {
                auto filter = tls_filter::make(self->where_);
                if (filter) {
                    made.tls = std::move(*filter);
                    problem = co_await self->shake_hands(*made.tls);
                } else {
                    problem = filter.error();
                }
            }
        } catch (const boost::system::system_error& failed) {
            problem = self->describe(failed.code());
        }
        self->io_.run_inside([&] {
            if (self->cancelled_) {
                return; // The socket closes with us.
            }
            if (problem) {
                self->done_(*problem);
                return;
            }
            made.descriptor = self->socket_.release();
            self->done_(std::move(made));
        });
    }

    asio::awaitable<void> connect() {
        std::vector<endpoint> places;
        if (!where_.socket_path.empty()) {
            places.emplace_back(asio::local::stream_protocol::endpoint(where_.socket_path));
        } else {
            // An address needs no resolver, and no resolver's thread.
            error_code not_an_address;
            const auto address = asio::ip::make_address(where_.host, not_an_address);
            if (!not_an_address) {
                places.emplace_back(asio::ip::tcp::endpoint(address, where_.port));
            } else {
                const auto found = co_await resolver_.async_resolve(where_.host, std::to_string(where_.port),
                                                                    asio::use_awaitable);
                for (const auto& entry : found) {
                    places.emplace_back(entry.endpoint());
                }
            }
        }
        error_code failed = asio::error::host_not_found;
        for (const endpoint& place : places) {
            error_code ignored;
            socket_.close(ignored);
            co_await socket_.async_connect(place, asio::redirect_error(asio::use_awaitable, failed));
            if (!failed) {
                break;
            }
            if (failed == asio::error::operation_aborted) {
                break; // Cancelled.
            }
        }
        if (failed) {
            throw boost::system::system_error(failed);
        }
        socket_.non_blocking(true);
        if (where_.socket_path.empty()) {
            tune();
        }
    }

    // Nothing is held back, and a peer that vanished is noticed also where nobody waits for a reply: by the
    // subscriptions.
    void tune() {
        const int fd = socket_.native_handle();
        const int on = 1;
        const int idle_s = 15;
        const int interval_s = 5;
        const int probes = 3;
        const unsigned unanswered_ms = 30'000;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof unanswered_ms);
    }

    asio::awaitable<std::optional<error>> shake_hands(tls_filter& filter) {
        const std::string at = "Redis at " + where_.shown();
        std::array<char, 16 * 1024> incoming{};
        for (;;) {
            const auto how = filter.shake_hands();
            std::string out;
            filter.take_encrypted(out);
            error_code failed;
            co_await asio::async_write(socket_, asio::buffer(out),
                                       asio::redirect_error(asio::use_awaitable, failed));
            if (how == tls_filter::state::done && !failed) {
                co_return std::nullopt;
            }
            if (how == tls_filter::state::failed) {
                co_return error(errc::unavailable, at + " failed the TLS handshake (" + filter.problem() +
                                                       "); check its certificate's name and authority");
            }
            std::size_t size = 0;
            if (!failed) {
                size = co_await socket_.async_read_some(asio::buffer(incoming),
                                                        asio::redirect_error(asio::use_awaitable, failed));
            }
            if (failed) {
                co_return error(errc::unavailable, at + " ended the TLS handshake (" + failed.message() +
                                                       "); does it speak TLS on this port?");
            }
            filter.feed(std::string_view(incoming.data(), size));
        }
    }

    error describe(const error_code& failed) const {
        return {errc::unavailable, "Redis at " + where_.shown() + " cannot be reached (" + failed.message() +
                                       "); is it running, and is the address right?"};
    }

    loop& io_;
    const settings where_;
    const handler done_;
    bool cancelled_ = false; ///< Touched inside only.
    asio::generic::stream_protocol::socket socket_;
    asio::ip::tcp::resolver resolver_;
};

} // namespace

std::shared_ptr<connector> connector::start(loop& io, const settings& where, handler done) {
    auto made = std::make_shared<asio_connector>(io, where, std::move(done));
    made->start();
    return made;
}

} // namespace holdfast::redis
