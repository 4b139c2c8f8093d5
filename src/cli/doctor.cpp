// doctor: what a look at the store finds that can break locks.
#include <algorithm>

#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/text.hpp"
#include "cli/words.hpp"

namespace holdfast::cli {
namespace {

using severity = finding::severity;

const char* color_of(severity how) {
    return how == severity::fine ? "\033[32m" : how == severity::warning ? "\033[33m" : "\033[31m";
}

std::string render(const std::vector<finding>& findings, const table_style& style) {
    std::size_t widest = 0;
    for (const finding& each : findings) {
        widest = std::max(widest, columns(printable(each.what)));
    }
    std::string text;
    for (const finding& each : findings) {
        const std::string word = word_of(each.how);
        const std::string what = printable(each.what);
        if (!style.aligned) {
            text += word + '\t' + what + '\t' + printable(each.seen) + '\t' + printable(each.remedy) + '\n';
            continue;
        }
        text += style.colors ? color_of(each.how) + word + "\033[0m" : word;
        text += std::string(9 - word.size(), ' ') + what + std::string(widest + 2 - columns(what), ' ') +
                printable(each.seen) + '\n';
        if (!each.remedy.empty()) {
            text += std::string(9 + widest + 2, ' ') + printable(each.remedy) + '\n';
        }
    }
    return text;
}

/// What the topology promises, as a finding: a level below the strongest is worth a warning.
finding level_finding(const store_traits& traits) {
    finding out;
    out.what = "level";
    out.seen = std::string(to_string(traits.gives)) + (traits.why.empty() ? "" : ": " + traits.why);
    if (traits.gives != level::fenced) {
        out.how = severity::warning;
        out.remedy = "see the README on what each level promises; programs can require one";
    }
    return out;
}

} // namespace

int doctor_command(const command_line& line, const settings& chosen) {
    const result<locks> store = try_connect(chosen.url, chosen.how);
    doctor_report report;
    if (store) {
        report.url = store->url();
        report.traits = store->traits();
        report.findings = store->diagnose();
        // A store that knows what to change for a better level has said so already.
        const bool has_level = std::any_of(report.findings.begin(), report.findings.end(),
                                           [](const finding& each) { return each.what == "level"; });
        if (!has_level) {
            report.findings.push_back(level_finding(report.traits));
        }
    } else {
        // An engine that cannot be used is what a doctor is asked about: a finding, with the usual exit code.
        const bool has_server = is_network_scheme(url_scheme(chosen.url));
        report.findings.push_back(
            {severity::error, "reachability", store.error().message(),
             has_server ? "check that the server runs, the URL, and the credentials" : ""});
    }
    const bool sound = std::none_of(report.findings.begin(), report.findings.end(),
                                    [](const finding& each) { return each.how == severity::error; });
    if (!line.global.json && !line.global.quiet && store) {
        say("looking at " + report.url);
    }
    const int printed =
        print(line.global.json ? doctor_json(report) : render(report.findings, style_for(line.global)));
    if (printed != exit_code::ok) {
        return printed;
    }
    if (!store) {
        return exit_code_for(store.error().code());
    }
    return sound ? exit_code::ok : exit_code::unavailable;
}

} // namespace holdfast::cli
