// The completion scripts: what is particular to a shell is here, what it completes comes from the option
// tree.
#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "cli/command_texts.hpp"

namespace holdfast::cli {
namespace {

std::vector<std::string> spellings(const option_text& option) {
    std::vector<std::string> all;
    for (const char letter : option.letters) {
        all.push_back(std::string("-") + letter);
    }
    for (const std::string& name : option.names) {
        all.push_back("--" + name);
    }
    return all;
}

std::string joined(const std::set<std::string>& words, const char* separator) {
    std::string text;
    for (const std::string& word : words) {
        text += (text.empty() ? "" : separator) + word;
    }
    return text;
}

bool is_choice(const option_text& option) {
    return option.value.find('|') != std::string::npos;
}

std::string with(std::string text, char old, char by) {
    std::replace(text.begin(), text.end(), old, by);
    return text;
}

std::set<std::string> spellings_of(subcommand id, const std::function<bool(const option_text&)>& wanted) {
    std::set<std::string> words;
    for (const option_text& option : option_texts(id)) {
        if (wanted(option)) {
            const std::vector<std::string> all = spellings(option);
            words.insert(all.begin(), all.end());
        }
    }
    return words;
}

std::set<std::string> all_names() {
    std::set<std::string> names;
    for (const subcommand_text& each : subcommand_texts()) {
        names.insert(each.name);
    }
    return names;
}

/// Every option of every subcommand that `wanted` takes; each under one label, "--a|--b", of its spellings.
std::set<std::string> everywhere(const std::function<bool(const option_text&)>& wanted) {
    std::set<std::string> words = spellings_of(subcommand::none, wanted);
    for (const subcommand_text& each : subcommand_texts()) {
        words.merge(spellings_of(each.id, wanted));
    }
    return words;
}

/// "run:*|elect:*", with ":*" at each end: those that run the words after theirs.
std::string runners(const char* each_end) {
    std::set<std::string> names;
    for (const subcommand_text& each : subcommand_texts()) {
        if (std::string_view(each.words).find("COMMAND") != std::string_view::npos) {
            names.insert(std::string(each.name) + each_end);
        }
    }
    return joined(names, "|");
}

/// The names in use; whoever presses Tab does not wait for a store that is far away or down.
std::string list_names() {
    return "holdfast ls --plain -q --timeout 1s 2> /dev/null | cut -f 1 | sort -u";
}

bool any(const option_text&) {
    return true;
}

/// "case" branches that complete the value after an option.
std::string bash_values() {
    std::string text;
    std::set<std::string> done;
    for (const subcommand_text& each : subcommand_texts()) {
        for (const option_text& option : option_texts(each.id)) {
            if (is_choice(option) && done.insert(option.names.front()).second) {
                const std::vector<std::string> all = spellings(option);
                text += "    " + joined({all.begin(), all.end()}, "|") + ") _holdfast_reply '" +
                        with(option.value, '|', ' ') + "'; return ;;\n";
            }
        }
    }
    const auto is_file = [](const option_text& option) { return option.value == "FILE"; };
    const auto is_other = [](const option_text& option) {
        return !option.value.empty() && option.value != "FILE" && option.value != "COMMAND" &&
               !is_choice(option);
    };
    text +=
        "    " + joined(everywhere(is_file), "|") + ") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n";
    text += "    " + joined(everywhere(is_other), "|") + ") return ;;\n";
    return text;
}

/// In single quotes, for zsh's _arguments: brackets and colons mean something there.
std::string zsh_quoted(const std::string& text) {
    std::string out;
    for (const char each : text) {
        if (each == '\'') {
            out += "'\\''";
        } else {
            out +=
                each == '[' || each == ']' || each == ':' ? std::string("\\") + each : std::string(1, each);
        }
    }
    return out;
}

std::string zsh_option(const option_text& option) {
    const std::vector<std::string> all = spellings(option);
    std::string action;
    if (is_choice(option)) {
        action = ":value:(" + with(option.value, '|', ' ') + ")";
    } else if (!option.value.empty()) {
        action = ":" + with(option.value, ':', ' ') + ":" + (option.value == "FILE" ? "_files" : " ");
    }
    std::string text;
    for (const std::string& each : all) {
        const bool takes_equals = !option.value.empty() && each[1] == '-';
        text += "        '(" + joined({all.begin(), all.end()}, " ") + ")" + each +
                (takes_equals ? "=" : "") + "[" + zsh_quoted(option.help) + "]" + action + "' \\\n";
    }
    return text;
}

std::string zsh_words(const subcommand_text& of) {
    const std::string words = of.words;
    if (words.rfind("bash", 0) == 0) {
        return "        '1:shell:(bash zsh)'\n";
    }
    if (of.word_count == 0) {
        return "        && return\n";
    }
    std::string text = "        '1:name:_holdfast_names'";
    text += words.find("COMMAND") != std::string::npos ? " '*:::command:_normal'" : "";
    return text + (of.word_count > 1 ? " '2:number: '\n" : "\n");
}

} // namespace

std::string bash_completion() {
    const std::string runs = "[[ $command == @(" + runners("") + ") ]]";
    std::string text =
        "# bash completion for holdfast, made by: holdfast completion bash\n\n"
        "_holdfast_reply() {\n"
        "    COMPREPLY=($(compgen -W \"$1\" -- \"$cur\"))\n"
        "}\n\n"
        // Not by compgen -W, which expands: a name may hold $(...), and be another user's.
        "_holdfast_names() {\n"
        "    local name quoted\n"
        "    while IFS= read -r name; do\n"
        "        printf -v quoted %q \"$name\"\n"
        "        if [[ $name == \"$cur\"* || $quoted == \"$cur\"* ]]; then COMPREPLY+=(\"$quoted\"); fi\n"
        "    done < <(" +
        list_names() +
        ")\n"
        "}\n\n"
        "_holdfast() {\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    local command= words=0 at=1 options= IFS=$' \\t\\n'\n"
        "    COMPREPLY=()\n"
        "    [[ $prev == '=' ]] && prev=${COMP_WORDS[COMP_CWORD-2]}\n"
        "    [[ $cur == '=' ]] && cur=\n"
        "    while ((at < COMP_CWORD)); do\n"
        "        case ${COMP_WORDS[at]} in\n"
        "        --) ((at += 1)); " +
        runs + " && ((words >= 1)) && break ;;\n        ";
    text += joined(everywhere([](const option_text& option) { return !option.value.empty(); }), "|");
    text += ") [[ ${COMP_WORDS[at+1]} == '=' ]] && ((at += 1)); ((at += 2)) ;;\n"
            "        -*) ((at += 1)) ;;\n"
            "        *)\n"
            "            " +
            runs +
            " && ((words >= 1)) && break\n"
            "            if [[ -z $command ]]; then command=${COMP_WORDS[at]}; else ((words += 1)); fi\n"
            "            ((at += 1)) ;;\n"
            "        esac\n"
            "    done\n"
            "    if " +
            runs +
            " && ((words >= 1)) && ((at < COMP_CWORD)); then\n"
            "        if declare -F _command_offset > /dev/null; then _command_offset \"$at\"\n"
            "        else COMPREPLY=($(compgen -f -- \"$cur\")); fi\n"
            "        return\n"
            "    fi\n"
            "    case $prev in\n";
    text += bash_values();
    text += "    esac\n"
            "    case $command in\n"
            "    '') options='" +
            joined(spellings_of(subcommand::none, any), " ") + "' ;;\n";
    for (const subcommand_text& each : subcommand_texts()) {
        text += std::string("    ") + each.name + ") options='" + joined(spellings_of(each.id, any), " ") +
                "' ;;\n";
    }
    text += "    esac\n"
            "    if [[ $cur == -* ]]; then _holdfast_reply \"$options\"; return; fi\n"
            "    case $command:$words in\n"
            "    :*) _holdfast_reply '" +
            joined(all_names(), " ") + "' ;;\n";
    for (const subcommand_text& each : subcommand_texts()) {
        const std::string words = each.words;
        if (words.rfind("bash", 0) == 0) {
            text += std::string("    ") + each.name + ":0) _holdfast_reply 'bash zsh' ;;\n";
        } else if (each.word_count > 0) {
            text += std::string("    ") + each.name + ":0) _holdfast_names ;;\n";
        }
    }
    // An alternative in brackets would need extglob here, which not every shell has switched on.
    text += "    " + runners(":*") +
            ") COMPREPLY=($(compgen -c -- \"$cur\")) ;;\n"
            "    esac\n"
            "}\n\n"
            "complete -F _holdfast holdfast\n";
    return text;
}

std::string zsh_completion() {
    std::string text = "#compdef holdfast\n"
                       "# zsh completion for holdfast, made by: holdfast completion zsh\n\n"
                       "_holdfast_names() {\n"
                       "    local -a names\n"
                       "    names=(${(fu)\"$(" +
                       list_names() +
                       ")\"})\n"
                       "    compadd -a names\n"
                       "}\n\n"
                       "_holdfast() {\n"
                       "    local curcontext=\"$curcontext\" state line\n"
                       "    local -a subcommands\n"
                       "    typeset -A opt_args\n"
                       "    subcommands=(\n";
    for (const subcommand_text& each : subcommand_texts()) {
        text += std::string("        '") + each.name + ":" + zsh_quoted(each.summary) + "'\n";
    }
    text += "    )\n"
            "    _arguments -C -S \\\n";
    for (const option_text& option : option_texts(subcommand::none)) {
        text += zsh_option(option);
    }
    text += "        '1:command:->command' '*::argument:->argument' && return\n"
            "    case $state in\n"
            "    command) _describe command subcommands ;;\n"
            "    argument)\n"
            "        case $words[1] in\n";
    for (const subcommand_text& each : subcommand_texts()) {
        text += std::string("        ") + each.name + ")\n        _arguments -S \\\n";
        for (const option_text& option : option_texts(each.id)) {
            text += zsh_option(option);
        }
        text += zsh_words(each) + "        ;;\n";
    }
    text += "        esac ;;\n"
            "    esac\n"
            "}\n\n"
            "_holdfast \"$@\"\n";
    return text;
}

} // namespace holdfast::cli
