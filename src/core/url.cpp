#include "factory.hpp"

#include <algorithm>
#include <array>

#include "url_parts.hpp"

namespace holdfast::core {
namespace {

constexpr const char* examples =
    "write for example local:, etcd://127.0.0.1:2379, redis://127.0.0.1:6379 or unix:///path/to/redis.sock";

/// An '@' behind the host: most probably that of a password with a '/', '?' or '#' that is not encoded.
bool has_stray_at(const url_parts& parts) noexcept {
    return (parts.has_authority ? !(parts.userinfo + parts.hosts).empty() : parts.scheme != "local") &&
           parts.rest.find('@') != std::string::npos;
}

url_parts cut(std::string_view text) {
    url_parts parts;
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) {
        return parts;
    }
    parts.scheme = std::string(text.substr(0, colon));
    text.remove_prefix(colon + 1);
    if (!text.starts_with("//")) {
        parts.rest = std::string(text);
        return parts;
    }
    text.remove_prefix(2);
    parts.has_authority = true;
    const std::string_view authority = text.substr(0, text.find_first_of("/?#"));
    parts.rest = std::string(text.substr(authority.size()));
    const auto at = authority.rfind('@');
    const std::size_t host_begin = at == std::string_view::npos ? 0 : at + 1;
    parts.userinfo = std::string(authority.substr(0, host_begin));
    parts.hosts = std::string(authority.substr(host_begin));
    return parts;
}

bool named_as_a_secret(std::string_view key) {
    constexpr std::array<std::string_view, 5> words{"pass", "pwd", "auth", "secret", "token"};
    return std::any_of(words.begin(), words.end(),
                       [&](std::string_view word) { return key.find(word) != std::string_view::npos; });
}

/// Path and query; no option takes a secret, but somebody may try.
std::string redact_options(std::string_view rest) {
    const std::size_t path = std::min(rest.find('?'), rest.size());
    std::string shown(rest.substr(0, path));
    for (rest.remove_prefix(path); !rest.empty();) {
        const std::string_view option = rest.substr(0, rest.find('&', 1)); // With its '?' or '&'.
        const std::string_view key = option.substr(0, option.find('='));
        const bool hide = key.size() < option.size() && named_as_a_secret(key);
        shown += hide ? std::string(key) + "=***" : std::string(option);
        rest.remove_prefix(option.size());
    }
    return shown;
}

/// What people and logs may see: a password becomes three stars, whether or not the rest can be parsed.
std::string redact(const url_parts& parts, std::string_view text) {
    if (has_stray_at(parts)) {
        return parts.scheme + (parts.has_authority ? "://" : ":") + "***" +
               std::string(text.substr(text.rfind('@')));
    }
    if (!parts.has_authority) {
        return std::string(text);
    }
    std::string userinfo = parts.userinfo;
    if (const auto colon = userinfo.find(':'); colon != std::string::npos) {
        userinfo = userinfo.substr(0, colon) + ":***@";
    }
    return parts.scheme + "://" + userinfo + parts.hosts + redact_options(parts.rest);
}

} // namespace

result<store_url> parse_url(std::string_view text) {
    const url_parts parts = cut(text);
    store_url url;
    url.scheme = parts.scheme;
    url.redacted = redact(parts, text);
    if (parts.scheme.empty()) {
        return bad_url(url.redacted, std::string("it has no scheme; ") + examples);
    }
    if (url.scheme == "local") {
        if (parts.has_authority) {
            return bad_url(url.redacted, "the local store has no host; write local: or local:/folder");
        }
        if (!parts.rest.empty() && parts.rest.front() != '/') {
            return bad_url(url.redacted, "the folder must begin with a slash: local:/folder");
        }
        url.path = parts.rest; // A folder is taken as it stands, percent signs and all.
        return url;
    }
    if (has_stray_at(parts)) {
        return bad_url(url.redacted,
                       "it has an '@' behind its host; in user, password and path write %2F for "
                       "'/', %3F for '?', %23 for '#' and %40 for '@'");
    }
    if (!parts.has_authority) {
        // Of "localhost:6379" too, where nobody meant a scheme.
        return bad_url(url.redacted, "it has no '//' behind '" + url.scheme + ":'; " + examples);
    }
    if (&holdfast_host_reader !=
        nullptr) { // Else this program has no store with hosts, as make_store() says.
        if (const auto read = holdfast_host_reader(parts, url); !read) {
            return read.error();
        }
    }
    return url;
}

} // namespace holdfast::core
