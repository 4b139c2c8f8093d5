#include "factory.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace holdfast::core {
namespace {

constexpr const char* examples =
    "write for example local:, etcd://127.0.0.1:2379, redis://127.0.0.1:6379 or unix:///path/to/redis.sock";

error bad_url(const std::string& shown, const std::string& what) {
    return {errc::config, "bad URL '" + shown + "': " + what};
}

/// The parts of the text, cut but not decoded.
struct cut_url {
    std::string scheme;
    std::string userinfo; ///< With its '@'.
    std::string hosts;
    std::string rest; ///< Path and query.
    bool has_authority = false;

    /// An '@' behind the host: most probably that of a password with a '/', '?' or '#' that is not encoded.
    bool stray_at() const noexcept {
        return (has_authority ? !(userinfo + hosts).empty() : scheme != "local") &&
               rest.find('@') != std::string::npos;
    }
};

cut_url cut(std::string_view text) {
    cut_url parts;
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
std::string redact(const cut_url& parts, std::string_view text) {
    if (parts.stray_at()) {
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
    const cut_url parts = cut(text);
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
    if (parts.stray_at()) {
        return bad_url(url.redacted,
                       "it has an '@' behind its host; in user, password and path write %2F for "
                       "'/', %3F for '?', %23 for '#' and %40 for '@'");
    }
    if (!parts.has_authority) {
        // Of "localhost:6379" too, where nobody meant a scheme.
        return bad_url(url.redacted, "it has no '//' behind '" + url.scheme + ":'; " + examples);
    }
    // Boost.URL reads one host; a list would be cut off at its comma without a word. So each host is read on
    // its own.
    std::string_view hosts = parts.hosts;
    bool more = true;
    while (more) {
        const auto comma = hosts.find(',');
        more = comma != std::string_view::npos;
        const std::string host(hosts.substr(0, comma));
        hosts = more ? hosts.substr(comma + 1) : std::string_view();
        const std::string whole =
            parts.scheme + "://" + parts.userinfo + host + parts.rest; // The view refers to it.
        const auto parsed = boost::urls::parse_uri(whole);
        if (parsed.has_error()) {
            return bad_url(url.redacted,
                           "it cannot be read as a URL near host '" + host +
                               "'; special characters in user, password and path need percent-encoding");
        }
        const boost::urls::url_view& view = parsed.value();
        // First of all: Boost.URL 1.81 walks out of an empty query that a fragment follows ("?#x").
        if (view.has_fragment()) {
            return bad_url(url.redacted, "it has a '#'; write %23 where one is meant");
        }
        std::uint16_t port = 0; // Read here: Boost.URL 1.81 lets a number over 65535 wrap around.
        const std::string digits(view.port());
        const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), port);
        const bool stray =
            !view.path().empty() && !view.path().starts_with('/'); // And "h:12x" as port 12, path x.
        if (stray || (!digits.empty() && (read.ec != std::errc() || port == 0))) {
            return bad_url(url.redacted, "the port of '" + host + "' must be 1 to 65535");
        }
        if (!host.empty()) {
            std::string name = view.host_type() == boost::urls::host_type::ipv6
                                   ? std::string(view.host_address())
                                   : std::string(view.host());
            url.endpoints.push_back({std::move(name), port});
        } else if (parts.hosts.find(',') != std::string::npos) {
            return bad_url(url.redacted, "the list of hosts has an empty entry");
        }
        url.user = view.user();
        url.password = view.password();
        url.path = view.path();
        for (const auto& parameter : view.params()) {
            url.query[std::string(parameter.key)] = std::string(parameter.value);
        }
    }
    if (url.scheme != "unix" && url.path.starts_with('/')) {
        url.path.erase(0, 1);
    }
    return url;
}

} // namespace holdfast::core
