// What one Redis server says of itself, and what level of safety follows from it. Plain values, no I/O.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <holdfast/store.hpp>

#include "resp.hpp"
#include "settings.hpp"

namespace holdfast::redis {

struct server_facts {
    std::string version;     ///< Empty where it cannot be read, as everything here.
    std::string mode;        ///< "standalone", "cluster", "sentinel".
    std::string role;        ///< "master" or "slave".
    std::string master_host; ///< Of a replica.
    std::optional<std::string> replicas;
    /// By name; what CONFIG GET refuses is missing.
    std::map<std::string, std::string> configured;
    std::optional<std::int64_t> time_us; ///< The server's clock.
    bool tells_of_keys = false;          ///< Whoever subscribes hears of keys that are deleted.

    /// The questions, to be sent in one pipeline, and what the replies to them say.
    static std::vector<std::vector<std::string>> questions();
    static server_facts from(std::span<const reply> replies);
};

/// The strongest level that the server can give, and why not a stronger one.
struct verdict_on_level {
    level gives = level::fenced;
    std::string why;
};
verdict_on_level judge(const server_facts& facts, std::optional<level> assumed);

} // namespace holdfast::redis
