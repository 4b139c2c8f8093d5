#include "cli/store_identity.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <memory>
#include <unistd.h>
#include <utility>
#include <vector>

namespace holdfast::cli {
namespace {

std::string local_folder(std::string_view path) {
    if (path.empty()) {
        return "/var/tmp/holdfast-" + std::to_string(::geteuid());
    }
    const std::string given(path);
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(given.c_str(), nullptr), &std::free);
    return real ? real.get() : given;
}

bool is_redis(std::string_view scheme) noexcept {
    return scheme.substr(0, 3) == "red" || scheme == "unix";
}

std::string_view usual_port(std::string_view scheme) noexcept {
    if (!is_redis(scheme)) {
        return ":2379";
    }
    return scheme.find("sentinel") == std::string_view::npos ? ":6379" : ":26379";
}

std::string normal_host(std::string_view host, std::string_view scheme) {
    std::string out(host);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](unsigned char each) { return static_cast<char>(std::tolower(each)); });
    const std::size_t colon = out.rfind(':');
    if (colon == std::string::npos || out.back() == ']') {
        out += usual_port(scheme);
    }
    constexpr std::array<std::string_view, 2> loopbacks{"localhost:", "[::1]:"};
    for (const std::string_view each : loopbacks) {
        if (out.compare(0, each.size(), each) == 0) {
            out.replace(0, each.size(), "127.0.0.1:");
        }
    }
    return out;
}

std::string normal_hosts(std::string_view hosts, std::string_view scheme) {
    std::vector<std::string> all;
    while (!hosts.empty()) {
        const std::string_view host = hosts.substr(0, hosts.find(','));
        hosts.remove_prefix(std::min(hosts.size(), host.size() + 1));
        all.push_back(normal_host(host, scheme));
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    std::string out;
    for (const std::string& each : all) {
        out += (out.empty() ? "" : ",") + each;
    }
    return out;
}

/// Database 0 is meant where none is named; a slash at the end says nothing.
std::string_view normal_tail(std::string_view tail, bool of_redis) noexcept {
    const auto drop = [&tail](std::string_view end) {
        if (tail.size() >= end.size() && tail.substr(tail.size() - end.size()) == end) {
            tail.remove_suffix(end.size());
        }
    };
    drop("/");
    if (of_redis) {
        drop("?db=0");
        if (tail == "/0") {
            tail = {};
        }
        drop("/");
    }
    return tail;
}

} // namespace

std::string store_identity(std::string_view url) {
    const std::size_t colon = url.find(':');
    if (colon == std::string_view::npos) {
        return std::string(url);
    }
    const std::string_view scheme = url.substr(0, colon);
    std::string_view rest = url.substr(colon + 1);
    if (scheme == "local") {
        return "local:" + local_folder(rest);
    }
    if (rest.substr(0, 2) != "//") {
        return std::string(url);
    }
    rest.remove_prefix(2);
    std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
    const std::string_view tail = rest.substr(authority.size());
    if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
        authority.remove_prefix(at + 1);
    }
    return std::string(scheme) + "://" + normal_hosts(authority, scheme) +
           std::string(normal_tail(tail, is_redis(scheme)));
}

} // namespace holdfast::cli
