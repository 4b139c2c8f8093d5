#include "settings.hpp"

#include <charconv>

namespace holdfast::redis {
namespace {

constexpr std::uint16_t sentinel_port = 26379;

std::optional<unsigned> unsigned_number(std::string_view text) {
    unsigned value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc() || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

error config_error(std::string what) {
    return {errc::config, std::move(what)};
}

} // namespace

std::string settings::shown() const {
    if (!socket_path.empty()) {
        return "unix:" + socket_path;
    }
    if (!sentinels.empty()) {
        return "master '" + sentinel_master + "' of sentinel " + sentinels.front().host + ":" +
               std::to_string(sentinels.front().port);
    }
    const bool v6 = host.find(':') != std::string::npos;
    return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

result<settings> settings::from(const core::store_config& config, const char* usual_password) {
    const core::store_url& url = config.url;
    settings made;
    made.tls = url.scheme.starts_with("rediss");
    made.user = url.user;
    made.password = url.password.empty() && usual_password != nullptr ? usual_password : url.password;
    made.ca_file = config.ca_file;
    made.cert_file = config.cert_file;
    made.key_file = config.key_file;
    made.op_timeout = config.op_timeout;
    made.release_timeout = config.release_timeout;
    std::string database;
    if (url.scheme == "unix") {
        // In unix://run/r.sock the first folder stands where a host would.
        if (url.path.empty() || !url.endpoints.empty()) {
            return config_error("'" + url.redacted +
                                "' names no socket; write three slashes: unix:///path/to/redis.sock");
        }
        made.socket_path = url.path;
    } else if (url.scheme.ends_with("sentinel")) {
        for (core::endpoint each : url.endpoints) {
            each.port = each.port == 0 ? sentinel_port : each.port;
            made.sentinels.push_back(std::move(each));
        }
        // redis-sentinel://h1,h2/db?sentinelMasterId=m or redis+sentinel://h1,h2/m/db
        database = url.path;
        if (const auto named = url.query.find("sentinelMasterId"); named != url.query.end()) {
            made.sentinel_master = named->second;
        } else {
            const auto slash = database.find('/');
            made.sentinel_master = database.substr(0, slash);
            database = slash == std::string::npos ? std::string() : database.substr(slash + 1);
        }
        if (made.sentinels.empty() || made.sentinel_master.empty()) {
            return config_error("'" + url.redacted + "' must name sentinels and their master: write " +
                                url.scheme + "://host:26379/?sentinelMasterId=NAME");
        }
    } else {
        if (url.endpoints.size() != 1) {
            return config_error("'" + url.redacted +
                                "' must name exactly one host: this store is one Redis master");
        }
        made.host = url.endpoints.front().host;
        if (made.host.empty()) {
            return config_error("'" + url.redacted + "' names no host; write " + url.scheme + "://host:6379");
        }
        if (url.endpoints.front().port != 0) {
            made.port = url.endpoints.front().port;
        }
        database = url.path;
    }
    for (const auto& [key, value] : url.query) {
        if (key == "sentinelMasterId" && !made.sentinels.empty()) {
            continue;
        }
        if (key == "db") {
            database = value;
        } else if (key == "assume" && value == "fenced") {
            made.assume = level::fenced;
        } else if (key == "assume" && value == "exclusive") {
            made.assume = level::exclusive;
        } else {
            return config_error(
                "'" + key + (key == "assume" ? "=" + value : "") + "' in '" + url.redacted +
                "' is not understood; a Redis URL takes db=N and assume=fenced or assume=exclusive");
        }
    }
    if (!database.empty()) {
        const auto parsed = unsigned_number(database);
        if (!parsed) {
            return config_error("'" + database + "' in '" + url.redacted +
                                "' is not the number of a database");
        }
        made.database = *parsed;
    }
    if (!made.tls && !(made.ca_file + made.cert_file + made.key_file).empty()) {
        return config_error("TLS files are given, but '" + url.redacted + "' does not use TLS; write " +
                            (made.sentinels.empty() ? "rediss://" : "rediss-sentinel://"));
    }
    if (made.cert_file.empty() != made.key_file.empty()) {
        return config_error("a client certificate needs both its file and its key file");
    }
    return made;
}

} // namespace holdfast::redis
