#include "support/ports.hpp"

#include <algorithm>
#include <fstream>
#include <netinet/in.h>
#include <random>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::testing {
namespace {

bool can_bind(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    ::close(fd);
    return bound;
}

int first_outgoing_port() {
    std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");
    int first = 0;
    return (file >> first) ? first : 32768;
}

} // namespace

std::uint16_t free_port() {
    constexpr int lowest = 10000;
    thread_local std::mt19937 random{std::random_device{}()};
    // Where the machine hands out nearly all ports for outgoing connections there is no better place than
    // among them.
    const int last = std::max(first_outgoing_port() - 1, lowest + 4000);
    std::uniform_int_distribution<int> pick(lowest, std::min(last, 65535));
    for (int attempt = 0; attempt < 200; ++attempt) {
        const auto port = static_cast<std::uint16_t>(pick(random));
        if (can_bind(port)) {
            return port;
        }
    }
    throw std::runtime_error("no free port on 127.0.0.1 after 200 attempts");
}

} // namespace holdfast::testing
