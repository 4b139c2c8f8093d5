#include "cli/child_environment.hpp"

#include <holdfast/types.hpp>

#include "cli/store_identity.hpp"

namespace holdfast::cli {
namespace {

std::string percent_encoded(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char raw : bytes) {
        const auto byte = static_cast<unsigned char>(raw);
        const bool plain = byte > 0x20 && byte < 0x7f && raw != '%' && raw != '|';
        if (plain) {
            out += raw;
        } else {
            out += {'%', digits[byte >> 4U], digits[byte & 15U]};
        }
    }
    return out;
}

std::string entry_for(std::string_view url, std::string_view name) {
    return percent_encoded(store_identity(url)) + "|" + percent_encoded(name);
}

} // namespace

bool is_held_by_ancestor(const char* list, std::string_view url, std::string_view name) {
    std::string_view left = list == nullptr ? "" : list;
    const std::string wanted = entry_for(url, name);
    while (!left.empty()) {
        const std::size_t space = left.find(' ');
        if (left.substr(0, space) == wanted) {
            return true;
        }
        left.remove_prefix(space == std::string_view::npos ? left.size() : space + 1);
    }
    return false;
}

std::string without_password(std::string_view redacted_url) {
    constexpr std::string_view mark = ":***@";
    const std::size_t at = redacted_url.find(mark);
    if (at == std::string_view::npos) {
        return std::string(redacted_url);
    }
    const std::string_view after = redacted_url.substr(at + mark.size());
    // "redis://:***@host" has no user either: then the @ goes too.
    const bool has_user = at > 0 && redacted_url[at - 1] != '/';
    return std::string(redacted_url.substr(0, at)) + (has_user ? "@" : "") + std::string(after);
}

std::string environment_additions(const command_environment& environment) {
    std::string held = environment.held_by_ancestors == nullptr ? "" : environment.held_by_ancestors;
    held += (held.empty() ? "" : " ") + entry_for(environment.url, environment.name);
    const auto ttl_ms = std::chrono::duration_cast<std::chrono::milliseconds>(environment.ttl).count();
    std::string out;
    const auto add = [&out](const std::string& entry) {
        out += entry;
        out += '\0';
    };
    add("HOLDFAST_NAME=" + environment.name);
    add("HOLDFAST_TOKEN=" + std::to_string(environment.token));
    add("HOLDFAST_URL=" + without_password(environment.url));
    add("HOLDFAST_TTL_MS=" + (environment.ttl == until_death ? "" : std::to_string(ttl_ms)));
    if (!environment.etcd_key.empty()) {
        add("ETCD_LOCK_KEY=" + environment.etcd_key);
        add("ETCD_LOCK_REV=" + std::to_string(environment.token));
    }
    add(std::string(held_variable) + "=" + held);
    return out;
}

} // namespace holdfast::cli
