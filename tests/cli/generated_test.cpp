// What is generated from the option tree: completions and the manual page.
#include "command.hpp"
#include "on_terminal.hpp"

#include <nlohmann/json.hpp>

#include "support/wait_for.hpp"

namespace holdfast::cli {
namespace {

using holdfast::testing::child_process;
using holdfast::testing::run_process;

class generated : public command_test {
  protected:
    void SetUp() override { std::ofstream(file("completion.bash")) << run({"completion", "bash"}).out; }

    /// What bash offers when Tab is pressed after these words; the last one is being typed.
    std::vector<std::string> offered(const words& typed) const {
        std::string script = "PATH=\"" + std::filesystem::path(HOLDFAST_PROGRAM).parent_path().string() +
                             ":$PATH\"; source " + file("completion.bash") + "; COMP_WORDS=(";
        for (const std::string& word : typed) {
            script += "'" + word + "' ";
        }
        script += "); COMP_CWORD=" + std::to_string(typed.size() - 1) +
                  "; _holdfast; printf '%s\\n' \"${COMPREPLY[@]}\"";
        const auto done = run_process({"bash", "--norc", "-uc", script}, bound, surroundings());
        EXPECT_EQ(done.err, "");
        std::vector<std::string> words;
        std::istringstream lines(done.out);
        for (std::string line; std::getline(lines, line);) {
            words.push_back(line);
        }
        return words;
    }

    bool offers(const words& typed, const std::string& wanted) const {
        const auto all = offered(typed);
        return std::find(all.begin(), all.end(), wanted) != all.end();
    }
};

TEST_F(generated, bash_completes_subcommands_options_and_choices) {
    EXPECT_EQ(offered({"holdfast", "sh"}), (words{"show"}));
    EXPECT_TRUE(offers({"holdfast", ""}, "doctor"));
    EXPECT_EQ(offered({"holdfast", "run", "--sl"}), (words{"--slots"}));
    EXPECT_EQ(offered({"holdfast", "ls", "--sl"}), (words{""})) << "not an option of ls";
    EXPECT_TRUE(offers({"holdfast", "run", "--on-lost", ""}, "kill"));
    EXPECT_TRUE(offers({"holdfast", "run", "--on-lost", "=", "wa"}, "warn"));
    EXPECT_EQ(offered({"holdfast", "--url", "local:", "ls", "--sort", "s"}), (words{"state", "since"}));
    EXPECT_EQ(offered({"holdfast", "completion", ""}), (words{"bash", "zsh"}));
    EXPECT_TRUE(offers({"holdfast", "--password-file", file("compl")}, file("completion.bash")));
    EXPECT_FALSE(offers({"holdfast", "run", "--ttl", ""}, "run")) << "a value is no subcommand";
}

TEST_F(generated, bash_completes_names_in_use_and_then_the_command) {
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    child_process holder(holdfast({"run", "nightly", "sh", "-c", "echo up; exec sleep 100"}), how);
    ASSERT_EQ(holder.read_line(bound), "up");
    EXPECT_EQ(offered({"holdfast", "show", "ni"}), (words{"nightly"}));
    EXPECT_EQ(offered({"holdfast", "run", "-w", "5", "ni"}), (words{"nightly"}));
    for (const char* runner : {"run", "elect"}) {
        EXPECT_TRUE(offers({"holdfast", runner, "nightly", "prin"}, "printf"));
        EXPECT_FALSE(offers({"holdfast", runner, "nightly", "ls", "--tt"}, "--ttl")) << "of ls, not ours";
    }
    EXPECT_TRUE(offers({"holdfast", "run", "nightly", "--", "cat", file("compl")}, file("completion.bash")));
    EXPECT_FALSE(offers({"holdfast", "run", "nightly", "ls", "--sl"}, "--slots"))
        << "an option of ls, not ours";
}

TEST_F(generated, completing_a_name_runs_nothing_that_stands_in_it) {
    const std::string name = "x $(touch " + file("ran") + ")`touch " + file("ran") + "`";
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    child_process holder(holdfast({"run", name, "sh", "-c", "echo up; exec sleep 100"}), how);
    ASSERT_EQ(holder.read_line(bound), "up");
    const auto all = offered({"holdfast", "show", "x"});
    ASSERT_EQ(all.size(), 1U) << ::testing::PrintToString(all);
    const auto typed = run_process({"bash", "-c", "printf %s " + all[0]}, bound, surroundings());
    EXPECT_EQ(typed.out, name) << "and the line that it completes names it";
    EXPECT_FALSE(exists("ran"));
}

TEST_F(generated, every_option_of_every_subcommand_is_in_every_generated_text) {
    const std::string zsh = run({"completion", "zsh"}).out;
    const std::string bash = run({"completion", "bash"}).out;
    const std::string man = run({"man"}).out;
    EXPECT_EQ(zsh.substr(0, 18), "#compdef holdfast\n");
    for (const char* command : {"run", "ls", "show", "watch", "break", "resize", "elect", "doctor",
                                "completion", "man", "version"}) {
        const std::string help = run({command, "--help"}).out;
        std::size_t found = 0;
        for (std::size_t at = help.find("--"); at != std::string::npos; at = help.find("--", at + 2)) {
            const std::size_t end = help.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", at + 2);
            const std::string option = help.substr(at, end - at);
            if (option.size() < 4 || help.rfind("\n", at) + 6 < at - 2) {
                continue; // In a sentence or an example.
            }
            ++found;
            std::string in_roff;
            for (const char each : option) {
                in_roff += each == '-' ? "\\-" : std::string(1, each);
            }
            EXPECT_NE(bash.find(option), std::string::npos) << option;
            EXPECT_NE(zsh.find(option), std::string::npos) << option;
            EXPECT_NE(man.find(in_roff), std::string::npos) << option;
        }
        EXPECT_GE(found, 10U) << command;
    }
}

TEST_F(generated, zsh_completes_at_its_prompt) {
    std::filesystem::create_directory(folder_ / "zsh");
    std::ofstream(folder_ / "zsh/_holdfast") << run({"completion", "zsh"}).out;
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    child_process holder(holdfast({"run", "nightly", "sh", "-c", "echo up; exec sleep 100"}), how);
    ASSERT_EQ(holder.read_line(bound), "up");
    on_terminal session({"zsh", "-f", "-i"}, how.env);
    const std::string bin = std::filesystem::path(HOLDFAST_PROGRAM).parent_path().string();
    session.type("bindkey -e; PS1='prompt> '; path=(" + bin + " $path); fpath=(" + file("zsh") +
                 " $fpath); autoload -U compinit; compinit -u -D; echo re''ady\n");
    ASSERT_TRUE(session.shows("ready")) << session.shown();
    // What is completed is shown when the line is run, by a command that is not holdfast.
    const auto completes = [&session](const std::string& typed, const std::string& whole) {
        session.type("holdfast " + typed +
                     "\t\x01"
                     "echo '<\x05>'\n");
        EXPECT_TRUE(session.shows("\n<holdfast " + whole)) << session.shown();
    };
    completes("doc", "doctor");
    completes("run --slo", "run --slots");
    completes("run --on-lost wa", "run --on-lost warn");
    completes("show ni", "show nightly");
    completes("elect --observe ni", "elect --observe nightly");
    completes("run nightly printen", "run nightly printenv");
    completes("run nightly -- cat " + file("zs"), "run nightly -- cat " + file("zsh"));
    session.type("exit\n");
    EXPECT_EQ(session.wait(), 0);
}

TEST_F(generated, zsh_takes_the_script) {
    std::ofstream(file("_holdfast")) << run({"completion", "zsh"}).out;
    const auto done = run_process({"zsh", "-n", file("_holdfast")}, bound, surroundings());
    EXPECT_EQ(done.status.code, 0);
    EXPECT_EQ(done.err, "");
}

TEST_F(generated, the_manual_page_renders_without_a_warning) {
    std::ofstream(file("holdfast.1")) << run({"man"}).out;
    const auto done =
        run_process({"groff", "-man", "-Tutf8", "-ww", "-z", file("holdfast.1")}, bound, surroundings());
    EXPECT_EQ(done.status.code, 0);
    EXPECT_EQ(done.err, "");
    const auto shown =
        run_process({"sh", "-c", "groff -man -Tascii -P-cbou " + file("holdfast.1")}, bound, surroundings());
    for (const char* part : {"NAME", "SYNOPSIS", "COMMANDS", "EXIT STATUS", "--max-hold DURATION",
                             "holdfast run --slots 4 crawl ./fetch URL"}) {
        EXPECT_NE(shown.out.find(part), std::string::npos) << part << shown.out;
    }
}

} // namespace
} // namespace holdfast::cli
