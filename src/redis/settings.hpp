// Where a Redis server is and how to talk to it. Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/factory.hpp"

namespace holdfast::redis {

struct settings {
    std::string host; ///< Empty with a socket path.
    std::uint16_t port = 6379;
    std::string socket_path;               ///< Empty over TCP.
    std::vector<core::endpoint> sentinels; ///< Who knows where the master is; empty where the host is it.
    std::string sentinel_master;           ///< What they call it.
    bool tls = false;
    std::string user;
    std::string password;
    unsigned database = 0;
    std::string ca_file;
    std::string cert_file;
    std::string key_file;
    std::optional<level> assume; ///< What to take for granted where the server does not let us look.
    std::chrono::nanoseconds op_timeout{};
    std::chrono::nanoseconds release_timeout{};

    /// "127.0.0.1:6379", "unix:/path" or "master 'm' of sentinel 127.0.0.1:26379", for messages.
    std::string shown() const;

    /// Reads the URL. The usual password, REDISCLI_AUTH's, is taken where nothing else gives one; null for
    /// none. Errors: config, naming the part.
    static result<settings> from(const core::store_config& config, const char* usual_password);
};

} // namespace holdfast::redis
