// Who we are, for people who ask who holds; and random bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include <holdfast/store.hpp>

namespace holdfast::core {

/// user, host and pid of this process; the command is cut to 128 bytes and defaults to the program's name.
holder_info describe_process(const std::string& command, const std::string& why);

/// 128 bits from the kernel: the session part of claim ids.
std::array<std::uint8_t, 16> random_session_id();

} // namespace holdfast::core
