#include "cli/commands.hpp"

namespace holdfast::cli {

settings resolve_settings(const command_line& line, const config_file& file, const char* environment_url) {
    const chosen_url chosen = choose_url(line.global.url, environment_url, file);
    settings out;
    out.url = chosen.url;

    // The file's credentials belong to the file's store: never sent to another.
    if (chosen.source == url_source::file) {
        out.how.ca_file = file.cacert.value_or("");
        out.how.cert_file = file.cert.value_or("");
        out.how.key_file = file.key.value_or("");
        out.how.password_file = file.password_file.value_or("");
    }
    const auto override_with = [](std::string& target, const std::string& flag) {
        if (!flag.empty()) {
            target = flag;
        }
    };
    override_with(out.how.ca_file, line.global.ca_file);
    override_with(out.how.cert_file, line.global.cert_file);
    override_with(out.how.key_file, line.global.key_file);
    override_with(out.how.password_file, line.global.password_file);

    const auto from_file = [&file](const std::string& text, const std::string& key, const auto& checked) {
        try {
            return checked(text, key);
        } catch (const usage_error& bad) {
            throw config_error(file.path + ": " + bad.what());
        }
    };
    if (line.run.ttl) {
        out.how.ttl = *line.run.ttl;
    } else if (file.ttl) {
        out.how.ttl = from_file(*file.ttl, "ttl", checked_ttl);
    }
    if (line.global.timeout) {
        out.how.op_timeout = *line.global.timeout;
    } else if (file.timeout) {
        out.how.op_timeout = from_file(*file.timeout, "timeout", checked_timeout);
    }
    return out;
}

} // namespace holdfast::cli
