// A network that can be slow: a TCP proxy that holds the replies of one connection back.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::testing {

class proxy {
  public:
    explicit proxy(std::uint16_t to) : to_(address(to)), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in any = address(0);
        socklen_t size = sizeof any;
        auto* const where = reinterpret_cast<sockaddr*>(&any);
        if (bind(listener_, where, size) != 0 || listen(listener_, 16) != 0 ||
            getsockname(listener_, where, &size) != 0) {
            throw std::runtime_error("the proxy cannot listen");
        }
        port_ = ntohs(any.sin_port);
        thread_ = std::thread([this] { run(); });
    }

    ~proxy() {
        ended_ = true;
        thread_.join();
        for (const pair& each : pairs_) {
            ::close(each.client);
            ::close(each.server);
        }
        ::close(listener_);
    }

    proxy(const proxy&) = delete;
    proxy& operator=(const proxy&) = delete;

    std::uint16_t port() const noexcept { return port_; }

    /// Whether the replies of the first connection that was made are held back.
    void hold_first(bool held) noexcept { held_ = held; }

  private:
    struct pair {
        int client;
        int server;
        bool open = true;
    };

    static sockaddr_in address(std::uint16_t port) {
        sockaddr_in made{};
        made.sin_family = AF_INET;
        made.sin_port = htons(port);
        made.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return made;
    }

    void run() {
        while (!ended_) {
            // Each is asked again after a short while: by then it may be held no more.
            std::vector<pollfd> waiting{{listener_, POLLIN, 0}};
            for (std::size_t i = 0; i < pairs_.size(); ++i) {
                const bool silent = i == 0 && held_;
                waiting.push_back({pairs_[i].open ? pairs_[i].client : -1, POLLIN, 0});
                waiting.push_back({pairs_[i].open && !silent ? pairs_[i].server : -1, POLLIN, 0});
            }
            poll(waiting.data(), waiting.size(), 2);
            for (std::size_t i = 0; i < pairs_.size(); ++i) {
                pair& each = pairs_[i];
                if ((waiting[1 + 2 * i].revents != 0 && !pass(each.client, each.server)) ||
                    (waiting[2 + 2 * i].revents != 0 && !pass(each.server, each.client))) {
                    each.open = false;
                    shutdown(each.client, SHUT_RDWR);
                    shutdown(each.server, SHUT_RDWR);
                }
            }
            if (waiting[0].revents != 0) {
                const int client = accept(listener_, nullptr, nullptr);
                const int server = socket(AF_INET, SOCK_STREAM, 0);
                const bool open = connect(server, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) == 0;
                pairs_.push_back({client, server, open});
            }
        }
    }

    static bool pass(int from, int to) {
        std::array<char, 4096> bytes{};
        const ssize_t got = recv(from, bytes.data(), bytes.size(), 0);
        return got > 0 && send(to, bytes.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL) == got;
    }

    const sockaddr_in to_;
    const int listener_;
    std::uint16_t port_ = 0;
    std::atomic<bool> held_{false};
    std::atomic<bool> ended_{false};
    std::vector<pair> pairs_; ///< The thread's own.
    std::thread thread_;
};

} // namespace holdfast::testing
