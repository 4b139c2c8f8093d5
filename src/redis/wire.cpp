#include "wire.hpp"

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <netinet/tcp.h>
#include <optional>

namespace holdfast::redis {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using boost::system::error_code;
using socket_type = asio::generic::stream_protocol::socket;

class asio_wire final : public wire, public std::enable_shared_from_this<asio_wire> {
  public:
    asio_wire(loop& io, const settings& where, events tell)
        : io_(io), where_(where), tell_(std::move(tell)), socket_(io.context()) {}

    void start() { asio::co_spawn(io_.context(), run(shared_from_this()), asio::detached); }

    void write(std::string& bytes) override {
        if (waiting_.empty()) {
            waiting_.swap(bytes);
        } else {
            waiting_ += bytes;
            bytes.clear();
        }
        if (!writing_) {
            push();
        }
    }

    void close() override {
        closed_ = true;
        error_code ignored;
        if (where_.socket_path.empty()) {
            // What the kernel still has to send dies with the connection. After a silence of the network it
            // would otherwise be sent again, and an old append could overtake the removal on the next
            // connection.
            socket_.set_option(asio::socket_base::linger(true, 0), ignored);
        }
        socket_.close(ignored);
    }

  private:
    static asio::awaitable<void> run(std::shared_ptr<asio_wire> self) {
        // What goes wrong before the first byte is a matter of the place, the certificate or the time.
        std::optional<error> problem;
        try {
            co_await self->connect();
            if (self->where_.tls) {
                co_await self->shake_hands();
            }
        } catch (const boost::system::system_error& failed) {
            problem = self->describe(failed);
        }
        if (self->closed_) {
            co_return;
        }
        if (problem) {
            self->down(*problem);
            co_return;
        }
        self->tell_.on_open();
        self->read();
    }

    asio::awaitable<void> connect() {
        std::vector<asio::generic::stream_protocol::endpoint> places;
        if (!where_.socket_path.empty()) {
            places.emplace_back(asio::local::stream_protocol::endpoint(where_.socket_path));
        } else {
            // An address needs no resolver, and no resolver's thread.
            error_code not_an_address;
            const auto address = asio::ip::make_address(where_.host, not_an_address);
            if (!not_an_address) {
                places.emplace_back(asio::ip::tcp::endpoint(address, where_.port));
            } else {
                asio::ip::tcp::resolver resolver(io_.context());
                const auto found = co_await resolver.async_resolve(where_.host, std::to_string(where_.port),
                                                                   asio::use_awaitable);
                for (const auto& entry : found) {
                    places.emplace_back(entry.endpoint());
                }
            }
        }
        error_code failed = asio::error::host_not_found;
        for (const auto& place : places) {
            if (closed_) {
                co_return;
            }
            error_code ignored;
            socket_.close(ignored);
            co_await socket_.async_connect(place, asio::redirect_error(asio::use_awaitable, failed));
            if (!failed) {
                break;
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

    asio::awaitable<void> shake_hands() {
        ssl::context trust(ssl::context::tls_client);
        if (where_.ca_file.empty()) {
            trust.set_default_verify_paths();
        } else {
            load(where_.ca_file, [&](const std::string& file) { trust.load_verify_file(file); });
        }
        if (!where_.cert_file.empty()) {
            load(where_.cert_file, [&](const std::string& file) { trust.use_certificate_chain_file(file); });
            load(where_.key_file,
                 [&](const std::string& file) { trust.use_private_key_file(file, ssl::context::pem); });
        }
        trust.set_verify_mode(ssl::verify_peer);
        SSL_CTX_set_min_proto_version(trust.native_handle(), TLS1_2_VERSION);
        tls_.emplace(socket_, trust);
        tls_->set_verify_callback(ssl::host_name_verification(where_.host));
        error_code not_an_address;
        static_cast<void>(asio::ip::make_address(where_.host, not_an_address));
        if (not_an_address) {
            SSL_set_tlsext_host_name(tls_->native_handle(), where_.host.c_str());
        }
        co_await tls_->async_handshake(ssl::stream_base::client, asio::use_awaitable);
    }

    template <typename Use>
    void load(const std::string& file, Use use) {
        try {
            use(file);
        } catch (const boost::system::system_error&) {
            bad_file_ = file;
            throw;
        }
    }

    error describe(const boost::system::system_error& failed) const {
        const std::string at = "Redis at " + where_.shown();
        if (!bad_file_.empty()) {
            return {errc::config,
                    "the TLS file '" + bad_file_ + "' cannot be used: " + failed.code().message()};
        }
        if (failed.code().category() == asio::error::get_ssl_category()) {
            return {errc::unavailable, at + " failed the TLS handshake (" + failed.code().message() +
                                           "); check its certificate's name and authority"};
        }
        if (tls_) {
            return {errc::unavailable, at + " ended the TLS handshake (" + failed.code().message() +
                                           "); does it speak TLS on this port?"};
        }
        return {errc::unavailable, at + " cannot be reached (" + failed.code().message() +
                                       "); is it running, and is the address right?"};
    }

    void read() {
        const auto handler = [self = shared_from_this()](error_code failed, std::size_t size) {
            if (self->closed_) {
                return;
            }
            if (failed) {
                self->down_by(failed);
                return;
            }
            self->tell_.on_bytes(std::string_view(self->incoming_.data(), size));
            if (!self->closed_) {
                self->read();
            }
        };
        if (tls_) {
            tls_->async_read_some(asio::buffer(incoming_), handler);
        } else {
            socket_.async_read_some(asio::buffer(incoming_), handler);
        }
    }

    // Sends at once what the kernel takes; the rest when it has room again.
    void push() {
        std::size_t sent = 0;
        if (!tls_) {
            error_code failed;
            sent = socket_.write_some(asio::buffer(waiting_), failed);
            if (failed && failed != asio::error::would_block) {
                // The read reports it, because an event must not come from inside write(). The shutdown makes
                // sure that it does: where only memory was short the stream would go on without these bytes,
                // and the next reply would go to whoever had written them.
                waiting_.clear();
                error_code ignored;
                socket_.shutdown(socket_type::shutdown_both, ignored);
                return;
            }
            if (sent == waiting_.size()) {
                waiting_.clear();
                return;
            }
        }
        writing_ = true;
        outgoing_.assign(waiting_, sent);
        waiting_.clear();
        const auto handler = [self = shared_from_this()](error_code failed, std::size_t) {
            self->writing_ = false;
            if (self->closed_) {
                return;
            }
            if (failed) {
                self->down_by(failed);
            } else if (!self->waiting_.empty()) {
                self->push();
            }
        };
        if (tls_) {
            asio::async_write(*tls_, asio::buffer(outgoing_), handler);
        } else {
            asio::async_write(socket_, asio::buffer(outgoing_), handler);
        }
    }

    void down_by(error_code failed) {
        const bool ended = failed == asio::error::eof || failed == ssl::error::stream_truncated;
        down({errc::unavailable, "Redis at " + where_.shown() + " closed the connection" +
                                     (ended ? std::string() : " (" + failed.message() + ")")});
    }

    void down(error why) {
        close();
        tell_.on_down(std::move(why));
    }

    loop& io_;
    const settings where_;
    const events tell_;
    socket_type socket_;
    std::optional<ssl::stream<socket_type&>> tls_;
    std::string bad_file_;
    std::array<char, 16 * 1024> incoming_{};
    std::string waiting_;  ///< Not yet given to the kernel or to TLS.
    std::string outgoing_; ///< In an unfinished write.
    bool writing_ = false;
    bool closed_ = false;
};

} // namespace

std::shared_ptr<wire> wire::open(loop& io, const settings& where, events tell) {
    auto made = std::make_shared<asio_wire>(io, where, std::move(tell));
    made->start();
    return made;
}

} // namespace holdfast::redis
