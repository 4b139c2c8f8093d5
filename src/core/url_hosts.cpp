#include "url_parts.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <charconv>
#include <string_view>

namespace holdfast::core {
namespace {

/// Boost.URL reads one host; a list would be cut off at its comma without a word. So each host is read on
/// its own.
result<void> read_hosts(const url_parts& parts, store_url& url) {
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
    return {};
}

} // namespace
} // namespace holdfast::core

extern "C" {
extern const holdfast::core::host_reader holdfast_host_reader;
const holdfast::core::host_reader holdfast_host_reader = &holdfast::core::read_hosts;
}
