#include "support/ports.hpp"
#include "support/tcp_proxy.hpp"
#include "support/wait_for.hpp"

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

sockaddr_in on_loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
}

/// One end of a connection.
class endpoint {
  public:
    explicit endpoint(int fd) : fd_(fd) {}
    endpoint(endpoint&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    endpoint& operator=(endpoint&&) = delete;
    ~endpoint() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }

    static endpoint to(std::uint16_t port) {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const sockaddr_in address = on_loopback(port);
        EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        return endpoint(fd);
    }

    void say(std::string_view text) const {
        EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    }
    /// What arrives within `bound`: "" for nothing, "end" and "reset" for what they are.
    [[nodiscard]] std::string hear(std::chrono::milliseconds bound = 10s) const {
        pollfd wait{fd_, POLLIN, 0};
        if (::poll(&wait, 1, static_cast<int>(bound.count())) <= 0) {
            return "";
        }
        std::array<char, 256> bytes{};
        const ssize_t got = ::recv(fd_, bytes.data(), bytes.size(), 0);
        return got > 0    ? std::string(bytes.data(), static_cast<std::size_t>(got))
               : got == 0 ? "end"
                          : "reset";
    }

  private:
    int fd_;
};

class proxied : public ::testing::Test {
  protected:
    proxied() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const sockaddr_in address = on_loopback(target_);
        EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(listener_, 8), 0);
    }
    ~proxied() override { ::close(listener_); }

    endpoint accept() {
        pollfd wait{listener_, POLLIN, 0};
        EXPECT_EQ(::poll(&wait, 1, 10'000), 1);
        return endpoint(::accept(listener_, nullptr, nullptr));
    }
    tcp_proxy& proxy() { return proxy_; }
    [[nodiscard]] std::uint16_t target() const { return target_; }

  private:
    std::uint16_t target_ = free_port();
    int listener_;
    tcp_proxy proxy_{target_};
};

TEST_F(proxied, passes_both_ways_and_tells_each_end_of_the_others) {
    auto client = endpoint::to(proxy().port());
    const auto server = accept();
    client.say("ask");
    EXPECT_EQ(server.hear(), "ask");
    server.say("answer");
    EXPECT_EQ(client.hear(), "answer");
    { const endpoint gone = std::move(client); }
    EXPECT_EQ(server.hear(), "end");
    EXPECT_EQ(proxy().cuts(), 0U);
}

TEST_F(proxied, can_be_slow) {
    const auto client = endpoint::to(proxy().port());
    const auto server = accept();
    proxy().set({.delay = 200ms});
    const auto start = std::chrono::steady_clock::now();
    client.say("ask");
    EXPECT_EQ(server.hear(), "ask");
    server.say("answer");
    EXPECT_EQ(client.hear(), "answer");
    EXPECT_GE(std::chrono::steady_clock::now() - start, 400ms);
}

TEST_F(proxied, holds_one_way_or_both_back_and_delivers_all_of_it_after_healing) {
    const auto client = endpoint::to(proxy().port());
    const auto server = accept();
    proxy().set({.to_client_held = true});
    client.say("ask");
    EXPECT_EQ(server.hear(), "ask");
    server.say("answer");
    EXPECT_EQ(client.hear(100ms), "");
    proxy().set({.to_server_held = true, .to_client_held = true});
    client.say("and");
    client.say("more");
    EXPECT_EQ(server.hear(100ms), "");
    proxy().heal();
    EXPECT_EQ(client.hear(), "answer");
    std::string heard;
    EXPECT_TRUE(wait_for(
        [&] {
            heard += server.hear();
            return heard == "andmore";
        },
        10s));
}

TEST_F(proxied, resets_what_is_open_and_refuses_what_is_new) {
    const auto client = endpoint::to(proxy().port());
    const auto server = accept();
    proxy().cut();
    EXPECT_EQ(client.hear(), "reset");
    EXPECT_EQ(server.hear(), "reset");
    proxy().set({.refused = true});
    EXPECT_EQ(endpoint::to(proxy().port()).hear(), "reset");
    proxy().heal();
    const auto later = endpoint::to(proxy().port());
    later.say("ask");
    EXPECT_TRUE(wait_for([&] { return accept().hear(1s) == "ask"; }, 10s));
}

TEST_F(proxied, leads_elsewhere_from_one_moment_on) {
    const auto before = endpoint::to(proxy().port());
    const auto server = accept();
    proxy().lead_to(free_port());
    EXPECT_EQ(before.hear(), "reset");
    EXPECT_EQ(server.hear(), "reset");
    EXPECT_NE(endpoint::to(proxy().port()).hear(), "") << "nobody listens there";
    proxy().lead_to(target());
    const auto after = endpoint::to(proxy().port());
    after.say("ask");
    EXPECT_TRUE(wait_for([&] { return accept().hear(1s) == "ask"; }, 10s));
}

TEST_F(proxied, loses_a_reply_whose_request_was_delivered) {
    const auto client = endpoint::to(proxy().port());
    const auto server = accept();
    proxy().set({.reply = network_fault::at_reply::lose});
    client.say("ask");
    EXPECT_EQ(server.hear(), "ask");
    server.say("answer");
    EXPECT_EQ(client.hear(), "reset");
    EXPECT_EQ(proxy().cuts(), 1U);
}

TEST_F(proxied, cuts_in_mid_reply) {
    const auto client = endpoint::to(proxy().port());
    const auto server = accept();
    proxy().set({.reply = network_fault::at_reply::divide});
    server.say("answer");
    // A reset may overtake what was delivered before it.
    const std::string heard = client.hear();
    EXPECT_TRUE(heard == "ans" || heard == "reset") << heard;
    EXPECT_TRUE(heard == "reset" || client.hear() == "reset");
}

} // namespace
} // namespace holdfast::testing
