// What an etcd store is made from: the URL, the options and the ETCDCTL_* variables, judged once.
//
// Plain values, pure but for reading the named files. No thread safety of its own, none needed.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/factory.hpp"

namespace holdfast::etcd {

struct settings {
    std::vector<std::string> endpoints; ///< host:port, IPv6 in brackets; never empty.
    std::string space;                  ///< "" or "namespace/".
    bool tls = false;
    std::string ca_pem; ///< The texts, not the file names. Empty: the system's authorities.
    std::string cert_pem;
    std::string key_pem;
    std::string user;
    std::string password;
    std::chrono::nanoseconds op_timeout{};
    std::string redacted; ///< The URL for messages.

    /// What one attempt gets of it. What a leader had taken when it died is answered by nobody, and a member
    /// may hang: there must be time left to ask again.
    std::chrono::nanoseconds attempt_timeout() const {
        return std::min(op_timeout,
                        std::max<std::chrono::nanoseconds>(op_timeout / 3, std::chrono::seconds(1)));
    }
};

/// How a variable of the environment is read; "" when it is not set.
using environment = std::function<std::string(const char* name)>;

/// Errors: config, naming the part and the remedy, never a password.
result<settings> make_settings(const core::store_config& config, const environment& variables);

} // namespace holdfast::etcd
