// The manual page, from the same texts and the same option tree as the help.
#include <string>
#include <string_view>

#include "cli/command_texts.hpp"

namespace holdfast::cli {
namespace {

/// Text as roff shows it: a backslash and a minus are characters, a dot or quote at a line's start is none.
std::string roff(std::string_view text) {
    std::string out;
    for (const char each : text) {
        const bool at_start = out.empty() || out.back() == '\n';
        if (at_start && (each == '.' || each == '\'')) {
            out += "\\&";
        }
        if (each == '\\') {
            out += "\\e";
        } else if (each == '-') {
            out += "\\-";
        } else {
            out += each;
        }
    }
    return out;
}

std::string option_entry(const option_text& option) {
    std::string names;
    for (const char letter : option.letters) {
        names += (names.empty() ? "" : ", ") + std::string("\\fB\\-") + letter + "\\fR";
    }
    for (const std::string& name : option.names) {
        names += (names.empty() ? "" : ", ") + ("\\fB\\-\\-" + roff(name) + "\\fR");
    }
    const std::string value = option.value.empty() ? "" : " \\fI" + roff(option.value) + "\\fR";
    return ".TP\n" + names + value + "\n" + roff(option.help) + "\n";
}

std::string subcommand_entry(const subcommand_text& of) {
    std::string text =
        std::string(".SS \"") + of.name + "\"\n\\fBholdfast " + of.name + "\\fR [\\fIOPTIONS\\fR]";
    text += of.words[0] == '\0' ? "\n" : " " + roff(of.words) + "\n.PP\n";
    text = text.substr(0, text.size()) + (of.words[0] == '\0' ? ".PP\n" : "") + roff(of.summary) + ".\n";
    if (of.details[0] != '\0') {
        text += ".PP\n" + roff(of.details) + "\n";
    }
    for (const option_text& option : option_texts(of.id)) {
        bool is_global = false;
        for (const option_text& global : option_texts(subcommand::none)) {
            is_global = is_global || global.names == option.names;
        }
        text += is_global ? "" : option_entry(option);
    }
    return text + ".PP\n.EX\n" + roff(of.examples) + ".EE\n";
}

constexpr const char* stores_and_files =
    ".SH STORES\n"
    "The store is the URL of \\-\\-url, else of HOLDFAST_URL, else of the configuration file, else local:.\n"
    ".TP\nlocal:\nthis machine; a folder of the user's own\n"
    ".TP\nlocal:/folder\nthis machine; the folder's mode decides who shares\n"
    ".TP\netcd://[user:password@]host:2379[,host...][/namespace]\netcd; etcds:// with TLS\n"
    ".TP\nredis://[user:password@]host:6379[/db]\n"
    "Redis, one master; rediss:// with TLS, unix:///socket[?db=N] for a local one. ?assume=fenced vouches "
    "for\n"
    "what the server may not be asked.\n"
    ".TP\nredis-sentinel://[user:password@]host:26379[,host...]/[db]?sentinelMasterId=NAME\n"
    "Redis behind Sentinel; rediss-sentinel:// with TLS\n"
    ".PP\n"
    "What is special in user, password and namespace is percent-encoded, an @ above all (%40).\n"
    ".SH FILES\n"
    ".TP\n$XDG_CONFIG_HOME/holdfast/config.toml (~/.config), else /etc/holdfast.toml\n"
    "The first that is there counts. Lines such as url = \"local:\"; the keys are url, ttl, timeout, cacert, "
    "cert, key and password_file.\n"
    ".SH ENVIRONMENT\n"
    ".TP\nHOLDFAST_URL\nthe store\n"
    ".TP\nNO_COLOR\nno colours\n"
    ".TP\nETCDCTL_ENDPOINTS, ETCDCTL_CACERT, ETCDCTL_CERT, ETCDCTL_KEY, ETCDCTL_USER, ETCDCTL_PASSWORD\n"
    "for etcd, where nothing else says so\n"
    ".TP\nREDISCLI_AUTH\nthe password for Redis, where nothing else says so\n"
    ".PP\n"
    "The command that \\fBholdfast run\\fR starts finds HOLDFAST_NAME, HOLDFAST_TOKEN, HOLDFAST_URL without "
    "its\n"
    "password, HOLDFAST_TTL_MS, and on etcd ETCD_LOCK_KEY and ETCD_LOCK_REV.\n";

} // namespace

std::string man_page() {
    std::string text =
        ".TH HOLDFAST 1 \"\" \"holdfast " HOLDFAST_VERSION "\" \"User Commands\"\n"
        ".SH NAME\n"
        "holdfast \\- locks and permits that programs take turns by\n"
        ".SH SYNOPSIS\n"
        "\\fBholdfast\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR ...\n"
        ".SH DESCRIPTION\n"
        "Runs commands while a name is held, on one machine or on many, and shows who holds what.\n"
        "Durations carry a unit: 10s, 1.5m, 250ms; only \\fB\\-w\\fR takes bare seconds.\n"
        ".SH COMMANDS\n";
    for (const subcommand_text& each : subcommand_texts()) {
        text += subcommand_entry(each);
    }
    text += ".SH OPTIONS\nOf every command:\n";
    for (const option_text& option : option_texts(subcommand::none)) {
        text += option_entry(option);
    }
    text += stores_and_files;
    text += ".SH \"EXIT STATUS\"\n";
    for (const exit_code_text& each : exit_code_texts()) {
        text += std::string(".TP\n") + each.code + "\n" + roff(each.meaning) + "\n";
    }
    return text + ".SH \"SEE ALSO\"\n.BR flock (1),\n.BR timeout (1)\n";
}

} // namespace holdfast::cli
