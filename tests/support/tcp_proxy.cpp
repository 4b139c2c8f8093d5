#include "support/tcp_proxy.hpp"

#include "support/ports.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::testing {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t most_queued = std::size_t{1} << 20; ///< A direction; then its sender has to wait.

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
}

int make_socket() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        throw std::system_error(errno, std::generic_category(), "socket");
    }
    return fd;
}

void without_delay(int fd) {
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

} // namespace

/// One way through a connection.
class tcp_proxy::traffic {
  public:
    traffic(int from, int to) : from_(from), to_(to) {}

    [[nodiscard]] bool wants_to_read() const { return !ended_ && queued_ < most_queued; }
    [[nodiscard]] bool wants_to_write(clock::time_point at) const {
        return !waiting_.empty() && waiting_.front().due <= at;
    }
    [[nodiscard]] clock::time_point due() const {
        return waiting_.empty() ? clock::time_point::max() : waiting_.front().due;
    }
    /// Its sender has closed, and all of it was delivered.
    [[nodiscard]] bool over() const { return ended_ && waiting_.empty(); }
    [[nodiscard]] int from() const { return from_; }
    [[nodiscard]] int to() const { return to_; }

    /// How much arrived; 0 at the end.
    std::size_t read(clock::time_point due) {
        std::array<char, 1U << 14> bytes{};
        const ssize_t got = ::recv(from_, bytes.data(), bytes.size(), 0);
        if (got > 0) {
            const auto count = static_cast<std::size_t>(got);
            waiting_.push_back({due, std::string(bytes.data(), count)});
            queued_ += count;
            return count;
        }
        ended_ = got == 0 || (errno != EAGAIN && errno != EINTR);
        return 0;
    }

    void write() {
        std::string& front = waiting_.front().bytes;
        const ssize_t put = ::send(to_, front.data(), front.size(), MSG_NOSIGNAL);
        if (put < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                waiting_.clear();
                ended_ = true;
            }
            return;
        }
        queued_ -= static_cast<std::size_t>(put);
        front.erase(0, static_cast<std::size_t>(put));
        if (front.empty()) {
            waiting_.pop_front();
        }
    }

    /// Delivers the first half of what arrived last, at once.
    void deliver_half() {
        const std::string& last = waiting_.back().bytes;
        static_cast<void>(::send(to_, last.data(), last.size() / 2, MSG_NOSIGNAL));
    }

  private:
    struct piece {
        clock::time_point due;
        std::string bytes;
    };
    int from_;
    int to_;
    bool ended_ = false;
    std::size_t queued_ = 0;
    std::deque<piece> waiting_;
};

class tcp_proxy::connection {
  public:
    connection(int client, int server) : client_(client), server_(server) {}
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection() {
        ::close(client_);
        ::close(server_);
    }

    /// Closing shall look like a failure, not like an orderly end.
    void reset() {
        const linger at_once{1, 0};
        ::setsockopt(client_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        ::setsockopt(server_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        cut_ = true;
    }

    [[nodiscard]] bool over(const network_fault& fault) const {
        return cut_ || (up_.over() && !fault.to_client_held) || (down_.over() && !fault.to_server_held);
    }

    /// Adds what to wait for; always four entries.
    void plan(const network_fault& fault, clock::time_point at, std::vector<pollfd>& out) const {
        const auto add = [&](int fd, bool wanted, short events) {
            out.push_back(
                {wanted ? fd : -1, events, 0}); // Without interest poll would tell of errors all the same.
        };
        add(up_.from(), !fault.to_server_held && up_.wants_to_read(), POLLIN);
        add(up_.to(), !fault.to_server_held && up_.wants_to_write(at), POLLOUT);
        add(down_.from(), !fault.to_client_held && down_.wants_to_read(), POLLIN);
        add(down_.to(), !fault.to_client_held && down_.wants_to_write(at), POLLOUT);
    }

    [[nodiscard]] clock::time_point due(const network_fault& fault) const {
        const auto never = clock::time_point::max();
        return std::min(fault.to_server_held ? never : up_.due(), fault.to_client_held ? never : down_.due());
    }

    /// True when the fault cut it.
    bool act(const network_fault& fault, clock::time_point at, const pollfd* ready) {
        if (ready[0].revents != 0) {
            up_.read(at + fault.delay);
        }
        if (ready[1].revents != 0) {
            up_.write();
        }
        if (ready[2].revents != 0 && down_.read(at + fault.delay) > 0 &&
            fault.reply != network_fault::at_reply::pass) {
            if (fault.reply == network_fault::at_reply::divide) {
                down_.deliver_half();
            }
            reset();
            return true;
        }
        if (ready[3].revents != 0) {
            down_.write();
        }
        return false;
    }

  private:
    int client_;
    int server_;
    bool cut_ = false;
    traffic up_{client_, server_};
    traffic down_{server_, client_};
};

tcp_proxy::tcp_proxy(std::uint16_t target) : listener_(make_socket()), target_(target) {
    constexpr int attempts = 8;
    for (int attempt = 1;; ++attempt) {
        port_ = free_port();
        const sockaddr_in address = loopback(port_);
        if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
            ::listen(listener_, 128) == 0) {
            break;
        }
        if (attempt == attempts) {
            const int why = errno;
            ::close(listener_);
            throw std::system_error(why, std::generic_category(), "the proxy cannot listen");
        }
    }
    bell_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    thread_ = std::thread([this] { run(); });
}

tcp_proxy::~tcp_proxy() {
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
    }
    ring();
    thread_.join();
    ::close(listener_);
    ::close(bell_);
}

void tcp_proxy::set(const network_fault& fault) {
    {
        const std::lock_guard lock(mutex_);
        fault_ = fault;
    }
    ring();
}

void tcp_proxy::lead_to(std::uint16_t target) {
    {
        const std::lock_guard lock(mutex_);
        target_ = target;
        cut_wanted_ = true;
    }
    ring();
}

void tcp_proxy::cut() {
    {
        const std::lock_guard lock(mutex_);
        cut_wanted_ = true;
    }
    ring();
}

void tcp_proxy::ring() noexcept {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(bell_, &one, sizeof one));
}

void tcp_proxy::run() {
    std::vector<std::unique_ptr<connection>> open;
    std::vector<pollfd> ready;
    for (;;) {
        network_fault fault;
        std::uint16_t target = 0;
        bool cut_all = false;
        {
            const std::lock_guard lock(mutex_);
            if (ended_) {
                for (const auto& one : open) {
                    one->reset();
                }
                return;
            }
            fault = fault_;
            target = target_;
            cut_all = fault.refused || std::exchange(cut_wanted_, false);
        }
        if (cut_all) {
            for (const auto& one : open) {
                one->reset();
            }
            cuts_ += open.size();
        }
        std::erase_if(open, [&](const auto& one) { return one->over(fault); });

        auto at = clock::now();
        auto next = clock::time_point::max();
        ready.assign({{listener_, POLLIN, 0}, {bell_, POLLIN, 0}});
        for (const auto& one : open) {
            one->plan(fault, at, ready);
            if (one->due(fault) > at) {
                next = std::min(next, one->due(fault));
            }
        }
        const int wait_ms =
            next == clock::time_point::max()
                ? -1
                : static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(next - at).count());
        ::poll(ready.data(), ready.size(), wait_ms);

        std::uint64_t rings = 0;
        if (::read(bell_, &rings, sizeof rings) > 0) {
            continue; // What was set before these bytes came counts for them.
        }
        at = clock::now();
        for (std::size_t i = 0; i < open.size(); ++i) {
            cuts_ += open[i]->act(fault, at, &ready[2 + 4 * i]) ? 1U : 0U;
        }
        if (ready[0].revents != 0) {
            const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
            if (client >= 0) {
                const int server = make_socket();
                const sockaddr_in address = loopback(target);
                // Where nobody listens, the first read says so.
                static_cast<void>(
                    ::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address));
                without_delay(client);
                without_delay(server);
                open.push_back(std::make_unique<connection>(client, server));
            }
        }
    }
}

} // namespace holdfast::testing
