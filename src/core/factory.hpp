// How src/stores.cpp makes a store: what every store is given, and the factories it looks for.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <holdfast/store.hpp>

namespace holdfast::core {

/// One host of a URL. port 0: the scheme's default.
struct endpoint {
    std::string host; ///< Without brackets.
    std::uint16_t port = 0;
};

/// A URL taken apart and percent-decoded.
struct store_url {
    std::string scheme;
    std::string user;
    std::string password;
    std::vector<endpoint> endpoints;
    std::string path; ///< Without its first slash for network stores; as it stands for local: and unix:.
    std::map<std::string, std::string> query;
    std::string redacted; ///< For people: the URL without its password.
};

/// Everything a factory may look at.
struct store_config {
    store_url url;
    std::chrono::nanoseconds op_timeout{};
    std::chrono::nanoseconds release_timeout{};
    std::chrono::nanoseconds ttl{};
    std::string ca_file;
    std::string cert_file;
    std::string key_file;
    bool threads_later = false; ///< As options::threads_later.
    bool catch_sigbus = true;   ///< As options::catch_sigbus.
};

/// Takes a URL apart. Errors: config, naming the part and the remedy; never the password.
result<store_url> parse_url(std::string_view text);

/// Makes the store for the URL's scheme. Errors: config, for an unknown scheme or a store that was not
/// linked.
result<std::unique_ptr<store>> make_store(const store_config& config);

} // namespace holdfast::core

// One factory per store, under a name without mangling: src/stores.cpp refers to it weakly, and the CMake
// target of the store asks the linker for it, so that a program has exactly the stores it was linked with.
namespace holdfast::core {
using store_factory = result<std::unique_ptr<store>> (*)(const store_config& config);
} // namespace holdfast::core
extern "C" {
[[gnu::weak]] extern const holdfast::core::store_factory holdfast_store_local;
[[gnu::weak]] extern const holdfast::core::store_factory holdfast_store_etcd;
[[gnu::weak]] extern const holdfast::core::store_factory holdfast_store_redis;
}
