#include "cli/config.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace holdfast::cli {
namespace {

constexpr std::size_t max_file_bytes = 64 * 1024;

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// Takes one quoted string from the front of the text; nothing when it is not one.
std::optional<std::string> take_string(std::string_view& text) {
    if (text.empty() || (text.front() != '"' && text.front() != '\'')) {
        return std::nullopt;
    }
    const char quote = text.front();
    std::string value;
    for (std::size_t at = 1; at < text.size(); ++at) {
        if (text[at] == quote) {
            text.remove_prefix(at + 1);
            return value;
        }
        if (text[at] == '\\' && quote == '"') {
            ++at;
            if (at == text.size() || (text[at] != '"' && text[at] != '\\')) {
                return std::nullopt;
            }
        }
        value += text[at];
    }
    return std::nullopt;
}

/// The file's text; nothing when there is no such file.
std::optional<std::string> read_text(const std::string& path, bool may_be_forbidden) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR || (errno == EACCES && may_be_forbidden)) {
            return std::nullopt;
        }
        throw config_error(path + ": cannot be read: " + std::strerror(errno));
    }
    std::string text(max_file_bytes + 1, '\0');
    std::size_t filled = 0;
    ssize_t got = 0;
    while (filled < text.size() && ((got = ::read(fd, text.data() + filled, text.size() - filled)) > 0 ||
                                    (got < 0 && errno == EINTR))) {
        filled += got > 0 ? static_cast<std::size_t>(got) : 0;
    }
    const int failure = got < 0 ? errno : 0;
    ::close(fd);
    if (failure != 0) {
        throw config_error(path + ": cannot be read: " + std::strerror(failure));
    }
    if (filled > max_file_bytes) {
        throw config_error(path + ": is larger than 64 KiB; is it the right file?");
    }
    text.resize(filled);
    return text;
}

std::string user_config_path() {
    const char* folder = std::getenv("XDG_CONFIG_HOME");
    if (folder != nullptr && folder[0] == '/') {
        return std::string(folder) + "/holdfast/config.toml";
    }
    const char* home = std::getenv("HOME");
    return home != nullptr && home[0] == '/' ? std::string(home) + "/.config/holdfast/config.toml" : "";
}

} // namespace

config_file parse_config(std::string_view text, const std::string& path) {
    config_file file;
    file.path = path;
    const std::array<std::pair<std::string_view, std::optional<std::string>*>, 7> keys{
        {{"url", &file.url},
         {"ttl", &file.ttl},
         {"timeout", &file.timeout},
         {"cacert", &file.cacert},
         {"cert", &file.cert},
         {"key", &file.key},
         {"password_file", &file.password_file}}};
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::size_t newline = text.find('\n');
        std::string_view line = trimmed(text.substr(0, newline));
        text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
        if (line.empty() || line.front() == '#') {
            continue;
        }
        const std::string where = path + ":" + std::to_string(number) + ": ";
        const std::size_t equals = line.find('=');
        if (equals == std::string_view::npos) {
            throw config_error(where + "expected a line like url = \"local:\"");
        }
        const std::string_view name = trimmed(line.substr(0, equals));
        const auto known =
            std::find_if(keys.begin(), keys.end(), [name](const auto& key) { return key.first == name; });
        if (known == keys.end()) {
            throw config_error(where + "unknown key '" + std::string(name) +
                               "'; known are url, ttl, timeout, cacert, cert, key and password_file");
        }
        line = trimmed(line.substr(equals + 1));
        const std::optional<std::string> value = take_string(line);
        line = trimmed(line);
        // The value itself is never shown: it may hold a password.
        if (!value || (!line.empty() && line.front() != '#')) {
            throw config_error(where + "the value of '" + std::string(name) +
                               "' must be one string in quotes");
        }
        if (known->second->has_value()) {
            throw config_error(where + "'" + std::string(name) + "' is given twice");
        }
        *known->second = value;
    }
    return file;
}

config_file read_config_file(bool url_is_known, const std::string& of_machine) {
    for (const std::string& path : {user_config_path(), of_machine}) {
        if (path.empty()) {
            continue;
        }
        if (const std::optional<std::string> text = read_text(path, url_is_known)) {
            return parse_config(*text, path);
        }
    }
    return {};
}

chosen_url choose_url(std::string_view flag, const char* environment, const config_file& file) {
    if (!flag.empty()) {
        return {std::string(flag), url_source::flag};
    }
    if (environment != nullptr && environment[0] != '\0') {
        return {environment, url_source::environment};
    }
    if (file.url && !file.url->empty()) {
        return {*file.url, url_source::file};
    }
    return {"local:", url_source::fallback};
}

std::string_view url_scheme(std::string_view url) noexcept {
    const std::size_t colon = url.find(':');
    return colon == std::string_view::npos ? std::string_view() : url.substr(0, colon);
}

bool is_network_scheme(std::string_view scheme) noexcept {
    constexpr std::array<std::string_view, 13> schemes{
        "etcd",           "etcds",           "redis",           "rediss",
        "unix",           "redis-sentinel",  "redis+sentinel",  "redis-cluster",
        "rediss-cluster", "rediss-sentinel", "rediss+sentinel", "redlock",
        "redlocks"};
    return std::find(schemes.begin(), schemes.end(), scheme) != schemes.end();
}

} // namespace holdfast::cli
