// What the command finds in its environment, and how a nested `run` of the same name is noticed.
//
// HOLDFAST_HELD lists what the ancestors of a process hold through `run`: entries "STORE|NAME", the store as
// store_identity() has it, percent-encoded, between spaces. A `run` of a name that is in it would wait for
// its own ancestor for ever. Pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::cli {

inline constexpr const char* held_variable = "HOLDFAST_HELD";

/// Whether the list names this hold. A null list is empty.
bool is_held_by_ancestor(const char* list, std::string_view url, std::string_view name);

struct command_environment {
    std::string name;
    std::string url; ///< As for people: with *** for the password.
    std::uint64_t token = 0;
    std::chrono::nanoseconds ttl{};
    const char* held_by_ancestors = nullptr;
    std::string
        etcd_key; ///< On etcd: the key of the hold, as `etcdctl lock` gives it; its revision is the token.
};

/// The URL without its password: with *** in its place, a nested command would try *** as the password.
std::string without_password(std::string_view redacted_url);

/// "NAME=value" entries, each ended by a NUL.
std::string environment_additions(const command_environment& environment);

} // namespace holdfast::cli
