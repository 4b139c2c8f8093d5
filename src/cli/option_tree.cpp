#include "cli/option_tree.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <utility>

#include <holdfast/types.hpp>

#include "cli/duration.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {
namespace {

using std::chrono::nanoseconds;

template <typename Number>
Number checked_number(const std::string& text, const std::string& what, Number least, Number most) {
    Number value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value);
    if (failure != std::errc() || stop != end || value < least || value > most) {
        throw usage_error(what + " " + in_quotes(text) + " must be a number from " + std::to_string(least) +
                          " to " + std::to_string(most));
    }
    return value;
}

/// One of a few words.
template <typename Choice>
Choice checked_choice(const std::string& text, const std::string& what,
                      std::initializer_list<std::pair<const char*, Choice>> choices) {
    std::string known;
    for (const auto& [word, choice] : choices) {
        if (text == word) {
            return choice;
        }
        known += (known.empty() ? "" : ", ") + std::string(word);
    }
    throw usage_error(what + " " + in_quotes(text) + " must be one of " + known);
}

using entries = std::vector<option_tree::entry>;

/// "-w,--wait": letters and long names.
option_tree::entry make_entry(std::string_view names, const char* value, const char* help) {
    option_tree::entry made;
    made.text.value = value;
    made.text.help = help;
    while (!names.empty()) {
        const std::string_view name = names.substr(0, names.find(','));
        names.remove_prefix(std::min(names.size(), name.size() + 1));
        if (name[1] == '-') {
            made.text.names.emplace_back(name.substr(2));
        } else {
            made.text.letters.push_back(name[1]);
        }
    }
    return made;
}

void add_value(entries& into, const char* names, const char* value, const char* help,
               std::function<void(const std::string&)> take) {
    into.push_back(make_entry(names, value, help));
    into.back().take = std::move(take);
}

/// A flag that makes `target` this value.
void add_flag(entries& into, const char* names, bool& target, const char* help, bool makes = true) {
    add_value(into, names, "", help, [&target, makes](const std::string&) { target = makes; });
}

void add_duration(entries& into, const char* long_name, const char* help,
                  std::optional<nanoseconds>& target) {
    add_value(into, long_name, "DURATION", help,
              [&target, long_name](const std::string& text) { target = checked_duration(text, long_name); });
}

void add_text(entries& into, const char* long_name, const char* value, const char* help,
              std::string& target) {
    add_value(into, long_name, value, help, [&target](const std::string& text) { target = text; });
}

void add_global_options(entries& into, command_line& line) {
    global_options& global = line.global;
    add_text(into, "--url", "URL",
             "the store; else HOLDFAST_URL, the configuration file, local:", global.url);
    add_value(into, "--timeout", "DURATION", "how long the store may take to answer (5s)",
              [&global](const std::string& text) { global.timeout = checked_timeout(text, "--timeout"); });
    add_text(into, "--cacert", "FILE", "certificate authorities to trust", global.ca_file);
    add_text(into, "--cert", "FILE", "our certificate", global.cert_file);
    add_text(into, "--key", "FILE", "our certificate's key", global.key_file);
    add_text(into, "--password-file", "FILE", "the file that holds the store's password",
             global.password_file);
    add_flag(into, "--json", global.json, "JSON on stdout, for programs");
    add_flag(into, "--plain", global.plain, "no colours, no alignment: fields between tabs");
    add_value(into, "--color", "auto|always|never", "colours (auto: at a terminal, without NO_COLOR)",
              [&global](const std::string& text) {
                  global.color = checked_choice<color_mode>(text, "--color",
                                                            {{"auto", color_mode::automatic},
                                                             {"always", color_mode::always},
                                                             {"never", color_mode::never}});
              });
    add_flag(into, "-q,--quiet", global.quiet, "errors only");
    add_flag(into, "-v,--verbose", global.verbose, "say what is being done");
    add_flag(into, "-h,--help", line.help, "this text");
}

void add_flock_options(entries& into, run_options& run) {
    add_flag(into, "-n,--nonblock,--nb", run.nonblock, "do not wait: exit with 75 when it is taken");
    add_value(into, "-w,--wait", "SECONDS", "wait at most so long, then exit with 75",
              [&run](const std::string& text) {
                  run.wait = parse_seconds(text);
                  if (!run.wait) {
                      throw usage_error("-w " + in_quotes(text) +
                                        " must be seconds without a unit, such as 10 or 0.5");
                  }
              });
    // Of the two the last one counts, as with flock.
    add_flag(into, "-x,-e,--exclusive", run.shared, "alone: the default", false);
    add_flag(into, "-s,--shared", run.shared, "beside others with -s, and never beside one without");
    add_value(into, "-E,--conflict-exit-code", "CODE", "exit with this code instead of 75",
              [&run](const std::string& text) {
                  run.conflict_exit_code = checked_number<int>(text, "-E", 0, 255);
              });
    add_value(into, "-c,--command", "COMMAND", "run a shell with this command line",
              [&run](const std::string& text) {
                  const char* shell = std::getenv("SHELL");
                  run.command = {shell != nullptr && shell[0] == '/' ? shell : "/bin/sh", "-c", text};
              });
}

/// What run and elect have in common.
void add_hold_options(entries& into, run_options& run) {
    add_value(into, "--ttl", "DURATION",
              "how long the hold outlives a dead machine, 1s to 24h (10s); local: until-death",
              [&run](const std::string& text) { run.ttl = checked_ttl(text, "--ttl"); });
    add_duration(into, "--max-hold", "end the command after so long, and exit with 124", run.max_hold);
    add_duration(into, "--at-least", "keep the hold at least so long", run.at_least);
    add_text(into, "--why", "TEXT", "shown to those who ask who holds", run.why);
    add_value(into, "--on-lost", "term|kill|warn", "what becomes of the command when the hold is lost (term)",
              [&run](const std::string& text) {
                  run.lost = checked_choice<on_lost>(
                      text, "--on-lost",
                      {{"term", on_lost::term}, {"kill", on_lost::kill}, {"warn", on_lost::warn}});
              });
    add_duration(into, "--kill-after", "from TERM to KILL (ttl/5)", run.kill_after);
    add_duration(into, "--margin", "from KILL to the end of the lease (ttl/20)", run.margin);
    add_value(into, "--status-fd", "N", "write one line of JSON about the outcome there",
              [&run](const std::string& text) {
                  run.status_fd = checked_number<int>(text, "--status-fd", 0, 1'000'000);
              });
}

void add_run_options(entries& into, command_line& line) {
    run_options& run = line.run;
    add_flock_options(into, run);
    add_value(into, "--slots", "N", "one of N permits instead of the lock", [&run](const std::string& text) {
        run.slots = checked_number<std::uint32_t>(text, "--slots", 1, max_permits);
    });
    add_flag(into, "--skip-ok", run.skip_ok, "exit with 0 when it is taken");
    add_hold_options(into, run);
}

void add_elect_options(entries& into, command_line& line) {
    add_flag(into, "--observe", line.observe, "print who leads, and whoever leads from then on");
    add_value(into, "--proposal", "TEXT", "what observers read while COMMAND runs (HOST:PID)",
              [&line](const std::string& text) { line.run.proposal = text; });
    add_hold_options(into, line.run);
}

void add_stale_option(entries& into, command_line& line) {
    add_flag(into, "--stale", line.ls.stale_only, "only what is stale");
}

void add_ls_options(entries& into, command_line& line) {
    ls_options& ls = line.ls;
    add_value(into, "--sort", "name|state|since", "the order (name)", [&ls](const std::string& text) {
        ls.order = checked_choice<ls_order>(
            text, "--sort",
            {{"name", ls_order::name}, {"state", ls_order::state}, {"since", ls_order::since}});
    });
    add_stale_option(into, line);
}

void add_watch_options(entries& into, command_line& line) {
    add_value(into, "--every", "DURATION", "how often to look (1s)", [&line](const std::string& text) {
        line.admin.every = checked_duration(text, "--every");
        if (line.admin.every < std::chrono::milliseconds(10)) {
            throw usage_error("--every " + in_quotes(text) + " must be at least 10ms");
        }
    });
    add_stale_option(into, line);
}

void add_break_options(entries& into, command_line& line) {
    add_flag(into, "-y,--yes", line.admin.yes, "do not ask");
    add_value(into, "--if-token", "TOKEN", "only the hold with this token", [&line](const std::string& text) {
        line.admin.if_token =
            checked_number<std::uint64_t>(text, "--if-token", 1, (std::uint64_t{1} << 63) - 1);
    });
}

void add_options_of(subcommand command, entries& into, command_line& line) {
    switch (command) {
    case subcommand::run:
        return add_run_options(into, line);
    case subcommand::ls:
        return add_ls_options(into, line);
    case subcommand::show:
        return add_stale_option(into, line);
    case subcommand::watch:
        return add_watch_options(into, line);
    case subcommand::elect:
        return add_elect_options(into, line);
    case subcommand::break_holds:
        return add_break_options(into, line);
    default:
        return;
    }
}

} // namespace

option_tree::option_tree(subcommand command, command_line& line) {
    add_options_of(command, entries_, line);
    add_global_options(entries_, line);
    if (command == subcommand::none) {
        add_value(entries_, "-V,--version", "", "the version; before a command",
                  [&line](const std::string&) { line.command = subcommand::version; });
    }
}

std::vector<option_shape> option_tree::shapes() const {
    std::vector<option_shape> shapes;
    for (const entry& each : entries_) {
        const std::vector<std::string>& names = each.text.names;
        shapes.push_back({.long_name = names.front(),
                          .aliases = {names.begin() + 1, names.end()},
                          .letters = each.text.letters,
                          .takes_value = !each.text.value.empty()});
    }
    return shapes;
}

std::vector<option_text> option_tree::texts() const {
    std::vector<option_text> texts;
    for (const entry& each : entries_) {
        texts.push_back(each.text);
    }
    return texts;
}

void option_tree::apply(const std::vector<option_use>& uses) const {
    for (const option_use& use : uses) {
        if (use.value && use.value->empty()) {
            throw usage_error("option '--" + use.long_name + "' needs a value that is not empty");
        }
        const auto found = std::find_if(entries_.begin(), entries_.end(), [&use](const entry& each) {
            return each.text.names.front() == use.long_name;
        });
        found->take(use.value.value_or("")); // What was cut is in the tree: it was cut by its shapes.
    }
}

std::vector<option_text> option_texts(subcommand id) {
    command_line unused;
    return option_tree(id, unused).texts();
}

} // namespace holdfast::cli
