#include "cli/options.hpp"

#include <charconv>
#include <utility>

#include <holdfast/store.hpp>

#include "cli/command_texts.hpp"
#include "cli/duration.hpp"
#include "cli/option_tree.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {
namespace {

using std::chrono::nanoseconds;

subcommand find_subcommand(const std::string& word) {
    std::vector<std::string> names;
    for (const subcommand_text& known : subcommand_texts()) {
        if (word == known.name) {
            return known.id;
        }
        names.emplace_back(known.name);
    }
    const auto guess = nearest(word, names);
    throw usage_error("unknown command " + in_quotes(word) +
                      (guess ? "; did you mean '" + *guess + "'?" : "; known are " + known_subcommands()));
}

[[noreturn]] void refuse_missing(const subcommand_text& of, const char* what) {
    throw usage_error(std::string(of.name) + " needs " + what + "; see 'holdfast " + of.name + " --help'");
}

void take_run_words(run_options& run, const cut_argv& parts) {
    if (!run.command.empty() && !parts.rest.empty()) {
        throw usage_error("-c takes the whole command line as one argument; " +
                          in_quotes(parts.rest.front()) + " is one too many");
    }
    if (run.command.empty()) {
        run.command = parts.rest;
    }
    if (run.command.empty()) {
        throw usage_error("run needs a command after the name; for instance: holdfast run NAME -- true");
    }
    if (run.shared && run.slots) {
        throw usage_error("-s and --slots are two kinds of a name: --slots N lets N run at once, -s any "
                          "number beside one another");
    }
}

void take_elect_words(command_line& line, const cut_argv& parts) {
    line.run.command = parts.rest;
    if (line.observe != parts.rest.empty()) {
        throw usage_error(line.observe ? "--observe only looks, and runs no command"
                                       : "elect needs a command to run while leader, or --observe");
    }
    if (line.run.proposal && line.run.proposal->size() > max_proposal) {
        throw usage_error("--proposal is longer than 512 bytes; shorten it");
    }
}

std::uint32_t checked_permits(const std::string& text) {
    std::uint32_t permits = 0;
    const auto [stop, failure] = std::from_chars(text.data(), text.data() + text.size(), permits);
    if (failure != std::errc() || stop != text.data() + text.size() || permits < 1 || permits > max_permits) {
        throw usage_error("N " + in_quotes(text) + " must be a number from 1 to 1000000");
    }
    return permits;
}

std::string checked_name(const std::string& text) {
    const result<resource_name> name = resource_name::make(text);
    if (!name) {
        throw usage_error(name.error().message());
    }
    return text;
}

void take_words(command_line& line, const subcommand_text& of, const cut_argv& parts) {
    const std::vector<std::string>& words = parts.words;
    const bool needs_name = of.word_count > 0 && of.words[0] == 'N';
    if (needs_name && words.empty()) {
        refuse_missing(of, "a NAME");
    }
    if (line.command == subcommand::run) {
        line.run.name = checked_name(words.front());
        return take_run_words(line.run, parts);
    }
    if (line.command == subcommand::elect) {
        line.run.name = checked_name(words.front());
        return take_elect_words(line, parts);
    }
    if (!parts.rest.empty()) {
        throw usage_error("unexpected argument " + in_quotes(parts.rest.front()));
    }
    if (line.command == subcommand::completion) {
        if (words.empty() || (words.front() != "bash" && words.front() != "zsh")) {
            refuse_missing(of, "one of bash and zsh");
        }
        line.shell = words.front();
        return;
    }
    if (!words.empty()) {
        line.admin.name = checked_name(words.front());
    }
    if (line.command == subcommand::resize) {
        if (words.size() < 2) {
            refuse_missing(of, "the number of permits");
        }
        line.admin.permits = checked_permits(words[1]);
    }
}

} // namespace

nanoseconds checked_duration(const std::string& text, const std::string& what) {
    const auto duration = parse_duration(text);
    if (!duration) {
        throw usage_error(what + " " + in_quotes(text) +
                          " is no duration; write it with a unit, such as 10s, 1.5m or 250ms");
    }
    return *duration;
}

nanoseconds checked_ttl(const std::string& text, const std::string& what) {
    if (text == until_death_text) {
        return until_death;
    }
    const nanoseconds ttl = checked_duration(text, what);
    if (ttl < std::chrono::seconds(1) || ttl > std::chrono::hours(24)) {
        throw usage_error(what + " " + in_quotes(text) + " must be from 1s to 24h, or " +
                          std::string(until_death_text));
    }
    return ttl;
}

nanoseconds checked_timeout(const std::string& text, const std::string& what) {
    const nanoseconds timeout = checked_duration(text, what);
    if (timeout <= nanoseconds::zero()) {
        throw usage_error(what + " " + in_quotes(text) + " must be longer than nothing");
    }
    return timeout;
}

command_line parse_command_line(const std::vector<std::string>& arguments) {
    command_line line;
    std::vector<std::string> rest = arguments;
    if (arguments.empty() || arguments.front().empty() || arguments.front().front() == '-') {
        option_tree outer(subcommand::none, line);
        cut_argv front = cut(arguments, outer.shapes(), 0);
        outer.apply(front.options);
        if (line.help || line.command == subcommand::version) {
            return line;
        }
        rest = std::move(front.rest);
    }
    if (rest.empty()) {
        throw usage_error("a command is needed: " + known_subcommands() + "; see 'holdfast --help'");
    }
    if (rest.front() == "help") { // As other commands with subcommands have it.
        line.help = true;
        line.command = rest.size() > 1 ? find_subcommand(rest[1]) : subcommand::none;
        return line;
    }
    line.command = find_subcommand(rest.front());
    const subcommand_text& of = *text_of(line.command);

    option_tree tree(line.command, line);
    rest.erase(rest.begin());
    const cut_argv parts = cut(rest, tree.shapes(), static_cast<std::size_t>(of.word_count));
    tree.apply(parts.options);
    if (!line.help) {
        take_words(line, of, parts);
    }
    return line;
}

} // namespace holdfast::cli
