#include "cli/guard_link.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <sys/mman.h>
#include <sys/socket.h>
#include <system_error>
#include <utility>

namespace holdfast::cli {
namespace {

constexpr std::size_t header_bytes = 3 * sizeof(std::int32_t);

} // namespace

guard_link::guard_link() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        throw std::system_error(errno, std::generic_category(), "cannot make a socket pair");
    }
    keeper_end_ = unique_fd(ends[0]);
    guard_end_ = unique_fd(ends[1]);
    void* memory =
        ::mmap(nullptr, sizeof(shared_page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        throw std::system_error(errno, std::generic_category(), "cannot share a page");
    }
    page_ = new (memory) shared_page;
    static_assert(std::atomic<std::int64_t>::is_always_lock_free);
}

guard_link::guard_link(guard_link&& other) noexcept
    : page_(std::exchange(other.page_, nullptr)), keeper_end_(std::move(other.keeper_end_)),
      guard_end_(std::move(other.guard_end_)) {}

guard_link::~guard_link() {
    if (page_ != nullptr) {
        ::munmap(page_, sizeof(shared_page));
    }
}

bool guard_link::send(const message& what, int fd_to_pass) const noexcept {
    const std::array<std::int32_t, 3> header{static_cast<std::int32_t>(what.kind), what.value, what.detail};
    std::array<iovec, 2> parts{};
    parts[0] = {const_cast<std::int32_t*>(header.data()), header_bytes};
    parts[1] = {const_cast<char*>(what.text.data()), what.text.size()};
    msghdr packet{};
    packet.msg_iov = parts.data();
    packet.msg_iovlen = parts.size();
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    if (fd_to_pass >= 0) {
        packet.msg_control = control.data();
        packet.msg_controllen = control.size();
        cmsghdr* rights = CMSG_FIRSTHDR(&packet);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(rights), &fd_to_pass, sizeof(int));
    }
    ssize_t sent = 0;
    do {
        sent = ::sendmsg(fd(), &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

guard_link::received guard_link::receive(message& out) const {
    // When the other side ended without having read our last message, the kernel says so once, to whatever we
    // ask next, and then hands over what the other side had sent.
    bool reset = false;
    const auto patiently = [&reset](const auto& ask) {
        for (;;) {
            const ssize_t got = ask();
            if (got >= 0 || (errno != EINTR && (errno != ECONNRESET || std::exchange(reset, true)))) {
                return got;
            }
        }
    };
    // The size first: most messages are a few bytes, one may be long.
    const ssize_t size =
        patiently([this] { return ::recv(fd(), nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT); });
    if (size < 0 && errno == EAGAIN) {
        return received::nothing;
    }
    if (size < static_cast<ssize_t>(header_bytes)) {
        return received::other_side_gone;
    }
    std::string bytes(static_cast<std::size_t>(size), '\0');
    iovec part{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr packet{};
    packet.msg_iov = &part;
    packet.msg_iovlen = 1;
    packet.msg_control = control.data();
    packet.msg_controllen = control.size();
    if (patiently([&] { return ::recvmsg(fd(), &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC); }) != size) {
        return received::other_side_gone;
    }
    out.fd.reset();
    const cmsghdr* rights = CMSG_FIRSTHDR(&packet);
    if (rights != nullptr && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
        int passed = -1;
        std::memcpy(&passed, CMSG_DATA(rights), sizeof passed);
        out.fd = unique_fd(passed);
    }
    std::array<std::int32_t, 3> header{};
    std::memcpy(header.data(), bytes.data(), header_bytes);
    out.kind = static_cast<message_kind>(header[0]);
    out.value = header[1];
    out.detail = header[2];
    out.text = bytes.substr(header_bytes);
    return received::message;
}

} // namespace holdfast::cli
