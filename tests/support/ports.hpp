#pragma once
// TCP ports for the servers of a test.

#include <cstdint>

namespace holdfast::testing {

/// A port of 127.0.0.1 that nobody is bound to right now. Another process may take it before its user binds
/// it: whoever starts a server tries again with another port. Safe from any thread. Throws std::runtime_error
/// when none is found.
///
/// It lies below the kernel's range for outgoing connections. From inside that range a client that retries
/// against a stopped server can be given the server's own port and connect to itself, and then the server
/// cannot come back.
[[nodiscard]] std::uint16_t free_port();

} // namespace holdfast::testing
