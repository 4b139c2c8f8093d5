#include "settings.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>

#include "keys.hpp"

namespace holdfast::etcd {
namespace {

constexpr std::uint16_t default_port = 2379;
constexpr std::size_t max_pem_bytes = 1U << 20;

result<std::string> read_pem(const std::string& what, const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        return error(errc::config, "cannot read the " + what + " file '" + path +
                                       "'; give the path of a readable PEM file");
    }
    std::string text(std::istreambuf_iterator<char>(file), {});
    if (text.empty() || text.size() > max_pem_bytes || text.find("-----BEGIN") == std::string::npos) {
        return error(errc::config, "the " + what + " file '" + path + "' is not a PEM file");
    }
    return text;
}

std::string host_port(const std::string& host, std::uint16_t port) {
    const bool literal_v6 = host.find(':') != std::string::npos;
    return (literal_v6 ? '[' + host + ']' : host) + ':' + std::to_string(port == 0 ? default_port : port);
}

// ETCDCTL_ENDPOINTS, as etcdctl takes it: "host:port" or "http(s)://host:port", separated by commas.
result<std::vector<std::string>> env_endpoints(std::string_view text, bool tls) {
    std::vector<std::string> out;
    while (!text.empty()) {
        const std::size_t comma = std::min(text.find(','), text.size());
        std::string_view one = text.substr(0, comma);
        text.remove_prefix(std::min(comma + 1, text.size()));
        if (one.starts_with("https://")) {
            if (!tls) {
                return error(errc::config,
                             "ETCDCTL_ENDPOINTS asks for TLS; use the scheme etcds:// in the URL");
            }
            one.remove_prefix(8);
        } else if (one.starts_with("http://")) {
            one.remove_prefix(7);
        }
        while (!one.empty() && one.back() == '/') {
            one.remove_suffix(1);
        }
        if (one.empty()) {
            continue;
        }
        if (one.find_first_of("/@ ") != std::string_view::npos) {
            return error(errc::config, "ETCDCTL_ENDPOINTS holds something that is not host:port");
        }
        const bool with_port = one.rfind(':') != std::string_view::npos &&
                               (one.find(']') == std::string_view::npos || one.rfind(':') > one.rfind(']'));
        out.push_back(with_port ? std::string(one) : std::string(one) + ':' + std::to_string(default_port));
    }
    return out;
}

result<void> add_tls(const core::store_config& config, const environment& variables, settings& out) {
    struct part {
        const char* what;
        const std::string& option;
        const char* variable;
        std::string& pem;
    };
    const std::array<part, 3> parts{
        {{"certificate authorities", config.ca_file, "ETCDCTL_CACERT", out.ca_pem},
         {"certificate", config.cert_file, "ETCDCTL_CERT", out.cert_pem},
         {"key", config.key_file, "ETCDCTL_KEY", out.key_pem}}};
    for (const part& one : parts) {
        const std::string path = one.option.empty() ? variables(one.variable) : one.option;
        if (path.empty()) {
            continue;
        }
        result<std::string> pem = read_pem(one.what, path);
        if (!pem) {
            return pem.error();
        }
        one.pem = *std::move(pem);
    }
    if (out.cert_pem.empty() != out.key_pem.empty()) {
        return error(errc::config, "a certificate needs its key, and a key its certificate: give both files");
    }
    return {};
}

} // namespace

result<settings> make_settings(const core::store_config& config, const environment& variables) {
    settings out;
    out.tls = config.url.scheme == "etcds";
    out.op_timeout = config.op_timeout;
    out.redacted = config.url.redacted;
    out.space = namespace_prefix(config.url.path);
    if (!config.url.query.empty()) {
        return error(errc::config, "etcd URLs take no option '" + config.url.query.begin()->first +
                                       "'; see the list of URLs in the manual");
    }
    for (const core::endpoint& one : config.url.endpoints) {
        if (!one.host.empty()) {
            out.endpoints.push_back(host_port(one.host, one.port));
        }
    }
    if (out.endpoints.empty()) {
        result<std::vector<std::string>> listed = env_endpoints(variables("ETCDCTL_ENDPOINTS"), out.tls);
        if (!listed) {
            return listed.error();
        }
        out.endpoints = *std::move(listed);
    }
    if (out.endpoints.empty()) {
        return error(errc::config, "the URL '" + out.redacted +
                                       "' names no host; use etcd://host:2379, or set ETCDCTL_ENDPOINTS");
    }
    if (out.tls) {
        if (result<void> done = add_tls(config, variables, out); !done) {
            return done.error();
        }
    } else if (!config.ca_file.empty() || !config.cert_file.empty() || !config.key_file.empty()) {
        return error(errc::config, "certificates are given, but etcd:// does not use TLS; use etcds://");
    }
    out.user = config.url.user;
    out.password = config.url.password;
    if (out.user.empty()) {
        // etcdctl takes "name" or "name:password" in one variable.
        std::string both = variables("ETCDCTL_USER");
        const std::size_t colon = both.find(':');
        out.user = both.substr(0, colon);
        if (out.password.empty() && colon != std::string::npos) {
            out.password = both.substr(colon + 1);
        }
    }
    if (out.password.empty() && !out.user.empty()) {
        out.password = variables("ETCDCTL_PASSWORD");
    }
    if (!out.user.empty() && out.password.empty()) {
        return error(errc::config,
                     "a user is given without a password; use a password file or ETCDCTL_PASSWORD");
    }
    return out;
}

} // namespace holdfast::etcd
