#include "cli/command_texts.hpp"

#include <algorithm>
#include <array>

namespace holdfast::cli {
namespace {

constexpr std::array<subcommand_text, 11> subcommands{{
    {subcommand::run, "run", "NAME [--] COMMAND [ARGUMENT...]", 1,
     "hold NAME while COMMAND runs; COMMAND never outlives the hold",
     "The command starts once NAME is held, in a process group of its own, with HOLDFAST_NAME, "
     "HOLDFAST_TOKEN, "
     "HOLDFAST_URL and HOLDFAST_TTL_MS in its environment. When the hold is lost, it is sent TERM, and KILL "
     "before anybody else can hold NAME, together with everything that it started.",
     "  holdfast run nightly -- ./job.sh              wait for the turn, then run\n"
     "  holdfast run -n nightly ./job.sh              or exit with 75 when it is taken\n"
     "  holdfast run -w 30 nightly -c 'a && b'        wait at most 30 seconds\n"
     "  holdfast run -s config ./read.sh              beside other -s, never beside -x\n"
     "  holdfast run --slots 4 crawl ./fetch URL      at most 4 at once\n"
     "  holdfast run --url etcd://db1:2379 nightly ./job.sh\n"},
    {subcommand::ls, "ls", "", 0, "show who holds what, since when, and how many wait", "",
     "  holdfast ls\n"
     "  holdfast ls --json --url redis://cache:6379\n"},
    {subcommand::show, "show", "NAME", 1, "show who holds NAME and who waits for it, in order",
     "A claim is live; stale, when its lease has run out or its process is gone and nobody has cleaned up "
     "yet; "
     "or foreign, when another program than holdfast made it. A name that is free is no error.",
     "  holdfast show nightly\n"
     "  holdfast show --json nightly | jq -r '.resource.claims[0].pid'\n"},
    {subcommand::watch, "watch", "[NAME]", 1, "print who comes to wait, to hold, and who goes, as it happens",
     "Looks again after each --every; what came and went in between is not seen. Without NAME it watches "
     "everything. It goes on while the store is out of reach.",
     "  holdfast watch nightly\n"
     "  holdfast watch --json --every 250ms\n"},
    {subcommand::break_holds, "break", "NAME", 1, "take every hold of NAME away",
     "An override: the next holder may start before the one whose hold was taken has stopped; only fencing "
     "tokens protect what both write. Who waits keeps its place. Asks for confirmation at a terminal; "
     "elsewhere --yes is needed.",
     "  holdfast break nightly\n"
     "  holdfast break --yes --if-token 1795355070299939990 nightly\n"},
    {subcommand::resize, "resize", "NAME N", 2, "give the line of permits NAME another number",
     "Holds are not taken away when the number shrinks. Whoever comes afterwards must ask for the new "
     "number.",
     "  holdfast resize crawl 8\n"},
    {subcommand::elect, "elect", "NAME [--] [COMMAND [ARGUMENT...]]", 1,
     "run COMMAND while leader of NAME, or print who leads",
     "Waits for its turn, then runs COMMAND as run does. What --proposal says can be read by everybody for "
     "as long "
     "as it leads. When COMMAND ends, or the leadership is lost, the next candidate leads.",
     "  holdfast elect scheduler --proposal \"$(hostname):8080\" ./scheduler\n"
     "  holdfast elect --observe --json scheduler\n"},
    {subcommand::doctor, "doctor", "", 0, "look for what breaks locks on this store, and say what to do",
     "Exits with 0 when there is no error, warnings or not, and with 69 when there is one.",
     "  holdfast doctor --url redis://cache:6379\n"
     "  holdfast doctor --json | jq '.findings[] | select(.severity != \"fine\")'\n"},
    {subcommand::completion, "completion", "bash|zsh", 1,
     "print a script that completes this command's words", "",
     "  holdfast completion bash > /etc/bash_completion.d/holdfast\n"
     "  holdfast completion zsh > \"${fpath[1]}/_holdfast\"\n"},
    {subcommand::man, "man", "", 0, "print the manual page", "", "  holdfast man | man -l -\n"},
    {subcommand::version, "version", "", 0, "print the version", "", "  holdfast version\n"},
}};

constexpr std::array<exit_code_text, 12> codes{{
    {"0", "success; the command's own code with run"},
    {"64", "usage, another kind or number of permits on the name, or a run inside a run of the same name"},
    {"69", "the store is out of reach, cannot give what was asked for, or its answer was lost"},
    {"70", "internal: a defect, or our guard process was killed"},
    {"75", "not acquired; -E gives another code"},
    {"77", "the store refused our credentials or rights"},
    {"78", "bad configuration"},
    {"79", "the hold was lost while the command ran"},
    {"124", "--max-hold passed"},
    {"126", "the command cannot be run"},
    {"127", "the command was not found"},
    {"128+N", "signal N came while waiting; if the command died by a signal, run dies by the same"},
}};

std::string option_column(const option_text& option) {
    std::string column;
    for (const char letter : option.letters) {
        column += (column.empty() ? "-" : ", -") + std::string(1, letter);
    }
    column = column.empty() ? "    " : column + ", ";
    column += "--" + option.names.front();
    return option.value.empty() ? column : column + " " + option.value;
}

/// Breaks a paragraph into lines of at most 80 columns.
std::string wrapped(const std::string& text) {
    std::string out;
    std::size_t column = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t space = std::min(text.find(' ', at), text.size());
        const std::size_t length = space - at;
        if (column != 0) {
            out += column + 1 + length > 80 ? '\n' : ' ';
            column = out.back() == '\n' ? 0 : column + 1;
        }
        out += text.substr(at, length);
        column += length;
        at = space + 1;
    }
    return out + "\n";
}

} // namespace

std::span<const subcommand_text> subcommand_texts() noexcept {
    return subcommands;
}

const subcommand_text* text_of(subcommand id) noexcept {
    const auto found = std::find_if(subcommands.begin(), subcommands.end(),
                                    [id](const subcommand_text& each) { return each.id == id; });
    return found == subcommands.end() ? nullptr : &*found;
}

std::string known_subcommands() {
    std::string text;
    for (std::size_t index = 0; index < subcommands.size(); ++index) {
        text += index == 0 ? "" : index + 1 == subcommands.size() ? " and " : ", ";
        text += subcommands[index].name;
    }
    return text;
}

std::span<const exit_code_text> exit_code_texts() noexcept {
    return codes;
}

std::string help_text(subcommand command) {
    const subcommand_text* known = text_of(command);
    std::string text;
    if (known != nullptr) {
        text = std::string("Usage: holdfast ") + known->name + " [OPTIONS]" +
               (known->words[0] == '\0' ? "" : " ") + known->words + "\n\n" + known->summary + "\n";
        text += known->details[0] == '\0' ? "" : "\n" + wrapped(known->details);
    } else {
        text = "Usage: holdfast [OPTIONS] COMMAND ...\n\n"
               "Locks and permits that programs take turns by\n\nCommands:\n";
        for (const subcommand_text& each : subcommands) {
            std::string name = each.name;
            name.resize(12, ' ');
            text += "  " + name + each.summary + "\n";
        }
    }
    text += "\nOptions:\n";
    for (const option_text& option : option_texts(command)) {
        std::string column = option_column(option);
        column.resize(std::max<std::size_t>(column.size() + 2, 34), ' ');
        text += "  " + column + option.help + "\n";
    }
    if (known != nullptr) {
        text += std::string("\nExamples:\n") + known->examples;
    }
    if (command == subcommand::run) {
        text += "\nExit codes: the command's own, or\n";
        for (const exit_code_text& each : exit_code_texts().subspan(1)) {
            std::string code = each.code;
            code.resize(7, ' ');
            text += "  " + code + each.meaning + "\n";
        }
    }
    return text;
}

} // namespace holdfast::cli
