// The configuration file, and where the store's URL comes from.
//
// The file is a strict subset of TOML: `key = "value"` lines and comments. What it does not know it refuses,
// with the line: a mistyped key must not silently mean the default store. Pure apart from read_config_file().
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace holdfast::cli {

/// Bad configuration: the message names file, line and remedy; the exit code is 78.
class config_error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// What a configuration file may say; durations still as text.
struct config_file {
    std::string path; ///< Empty: there is none.
    std::optional<std::string> url;
    std::optional<std::string> ttl;
    std::optional<std::string> timeout;
    std::optional<std::string> cacert;
    std::optional<std::string> cert;
    std::optional<std::string> key;
    std::optional<std::string> password_file;
};

/// Reads the text of a file. Throws config_error.
config_file parse_config(std::string_view text, const std::string& path);

/// Reads $XDG_CONFIG_HOME/holdfast/config.toml (~/.config without the variable), else the machine's;
/// neither is needed. Throws config_error, also when a file is there and cannot be read; except that one that
/// must not be read does not matter when the URL is known already: only a store chosen by default would be a
/// surprise.
config_file read_config_file(bool url_is_known, const std::string& of_machine = "/etc/holdfast.toml");

/// Where the URL was found; the file's credentials go with the file's URL only.
enum class url_source { flag, environment, file, fallback };

struct chosen_url {
    std::string url;
    url_source source = url_source::fallback;
};

/// --url, then HOLDFAST_URL, then the file, then local:. Empty ones count as absent.
chosen_url choose_url(std::string_view flag, const char* environment, const config_file& file);

/// The part before the first ':', or nothing.
std::string_view url_scheme(std::string_view url) noexcept;

/// Whether the scheme is one of a network store's, which only holdfast-net has.
bool is_network_scheme(std::string_view scheme) noexcept;

} // namespace holdfast::cli
