#include "wire.hpp"

#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace holdfast::redis {

std::shared_ptr<wire> wire::open(loop& io, const settings& where, channel as, events tell) {
    auto made = std::make_shared<wire>(io, where, as, std::move(tell));
    made->connector_ =
        connector::start(io, where, [weak = std::weak_ptr<wire>(made)](result<connected> outcome) {
            if (const auto self = weak.lock()) {
                self->opened(std::move(outcome));
            } else if (outcome) {
                ::close(outcome->descriptor);
            }
        });
    return made;
}

wire::~wire() {
    close();
}

void wire::opened(result<connected> outcome) {
    connector_ = nullptr;
    if (!outcome) {
        closed_ = true;
        tell_.on_down(outcome.error());
        return;
    }
    descriptor_ = outcome->descriptor;
    tls_ = std::move(outcome->tls);
    io_.places().look_after(channel_, shared_from_this());
    tell_.on_open();
}

void wire::close() {
    if (std::exchange(closed_, true)) {
        return;
    }
    if (connector_) {
        std::exchange(connector_, nullptr)->cancel();
    }
    if (descriptor_ < 0) {
        return;
    }
    io_.places().forget(*this);
    if (tcp_) {
        // What the kernel still has to send dies with the connection. After a silence of the network it would
        // otherwise be sent again, and an old append could overtake the removal on the next connection.
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    ::close(std::exchange(descriptor_, -1));
}

// Until there is nothing left: only then will the kernel wake somebody for what comes next.
void wire::receive() {
    const auto self = shared_from_this(); // An event may be the end of us.
    std::array<char, 16 * 1024> buffer;   // NOLINT(cppcoreguidelines-pro-type-member-init): recv() writes it.
    while (!closed_) {
        const ssize_t size = ::recv(descriptor_, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (size > 0) {
            if (!take(std::string_view(buffer.data(), static_cast<std::size_t>(size)))) {
                return;
            }
            if (static_cast<std::size_t>(size) < buffer.size()) {
                return;
            }
        } else if (size == 0) {
            down("");
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            down(std::generic_category().message(errno));
        }
    }
}

bool wire::take(std::string_view bytes) {
    if (!tls_) {
        tell_.on_bytes(bytes);
        return !closed_;
    }
    tls_->feed(bytes);
    std::string said;
    const auto how = tls_->read(said);
    if (!said.empty()) {
        tell_.on_bytes(said);
    }
    if (closed_) {
        return false;
    }
    if (how == tls_filter::state::failed) {
        down(tls_->problem());
        return false;
    }
    send(); // TLS may have an answer of its own.
    return true;
}

void wire::write(std::string& bytes) {
    if (closed_ || descriptor_ < 0) {
        bytes.clear();
        return;
    }
    if (tls_) {
        if (!tls_->write(bytes)) {
            abandon();
        }
    } else if (outgoing_.empty()) {
        outgoing_.swap(bytes);
    } else {
        outgoing_ += bytes;
    }
    bytes.clear();
    send();
}

// Sends at once what the kernel takes; the rest when it has room again.
void wire::send() {
    if (tls_) {
        tls_->take_encrypted(outgoing_);
    }
    if (!stuck_) {
        send_rest();
    }
}

void wire::send_rest() {
    std::size_t sent = 0;
    while (!closed_ && sent < outgoing_.size()) {
        const ssize_t size = ::send(descriptor_, outgoing_.data() + sent, outgoing_.size() - sent,
                                    MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size >= 0) {
            sent += static_cast<std::size_t>(size);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR) {
            abandon();
            break;
        }
    }
    outgoing_.erase(0, sent);
    const bool full = !outgoing_.empty();
    if (!closed_ && full != stuck_) {
        stuck_ = full;
        if (stuck_) {
            io_.places().wants_to_send(*this);
        } else {
            io_.places().has_sent(*this);
        }
    }
}

// The next receive() reports it, because an event must not come from inside write(). The shutdown makes sure
// that it does: where only memory was short the stream would go on without these bytes, and the next reply
// would go to whoever had written them.
void wire::abandon() {
    outgoing_.clear();
    ::shutdown(descriptor_, SHUT_RDWR);
}

void wire::down(const std::string& why) {
    close();
    tell_.on_down({errc::unavailable,
                   "Redis at " + shown_ + " closed the connection" + (why.empty() ? "" : " (" + why + ")")});
}

} // namespace holdfast::redis
