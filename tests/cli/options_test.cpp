#include "cli/options.hpp"

#include <gtest/gtest.h>

#include "cli/command_texts.hpp"

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;
using words = std::vector<std::string>;

std::string refusal(const words& arguments) {
    try {
        parse_command_line(arguments);
    } catch (const usage_error& wrong) {
        return wrong.what();
    }
    return "";
}

TEST(run_options, are_flocks_and_ours) {
    const command_line line =
        parse_command_line({"--url", "local:/a", "run", "-nx", "-w", "0.5", "-E", "9", "--ttl", "1.5m", "N",
                            "--slots=3", "--why", "-x-", "--on-lost", "kill", "cmd", "-n", "--ttl"});
    EXPECT_EQ(line.command, subcommand::run);
    EXPECT_EQ(line.global.url, "local:/a");
    EXPECT_TRUE(line.run.nonblock);
    EXPECT_EQ(line.run.wait, 500ms);
    EXPECT_EQ(line.run.conflict_exit_code, 9);
    EXPECT_EQ(line.run.ttl, 90s);
    EXPECT_EQ(line.run.slots, 3U);
    EXPECT_EQ(line.run.why, "-x-");
    EXPECT_EQ(line.run.lost, on_lost::kill);
    EXPECT_EQ(line.run.name, "N");
    EXPECT_EQ(line.run.command, (words{"cmd", "-n", "--ttl"}));
}

TEST(run_options, may_give_the_command_as_one_shell_line) {
    const command_line line = parse_command_line({"run", "N", "-c", "a && b"});
    ASSERT_EQ(line.run.command.size(), 3U);
    EXPECT_EQ(line.run.command[1], "-c");
    EXPECT_EQ(line.run.command[2], "a && b");
    EXPECT_NE(refusal({"run", "N", "-c", "a", "b"}).find("one too many"), std::string::npos);
}

TEST(run_options, take_the_last_of_two) {
    EXPECT_EQ(parse_command_line({"run", "--ttl", "5s", "--ttl", "6s", "N", "x"}).run.ttl, 6s);
}

TEST(run_options, of_shared_and_exclusive_the_last_one_counts) {
    EXPECT_TRUE(parse_command_line({"run", "-s", "N", "x"}).run.shared);
    EXPECT_TRUE(parse_command_line({"run", "-xs", "N", "x"}).run.shared);
    EXPECT_FALSE(parse_command_line({"run", "-s", "N", "-x", "x", "-s"}).run.shared);
    EXPECT_FALSE(parse_command_line({"run", "N", "x"}).run.shared);
}

TEST(admin_options, are_words_and_options_in_any_order) {
    const command_line broken = parse_command_line({"break", "N", "--if-token", "7", "-y"});
    EXPECT_EQ(broken.command, subcommand::break_holds);
    EXPECT_EQ(broken.admin.name, "N");
    EXPECT_EQ(broken.admin.if_token, 7U);
    EXPECT_TRUE(broken.admin.yes);
    const command_line resized = parse_command_line({"resize", "N", "5"});
    EXPECT_EQ(resized.admin.name, "N");
    EXPECT_EQ(resized.admin.permits, 5U);
    EXPECT_EQ(parse_command_line({"watch"}).admin.name, "");
    EXPECT_EQ(parse_command_line({"watch", "--every", "2s", "N"}).admin.every, 2s);
    EXPECT_EQ(parse_command_line({"show", "--", "-x"}).admin.name, "-x");
    EXPECT_EQ(parse_command_line({"completion", "zsh"}).shell, "zsh");
}

TEST(run_options, survive_values_that_a_parser_would_take_apart) {
    EXPECT_EQ(parse_command_line({"run", "--why", "[a,b]", "N", "x"}).run.why, "[a,b]");
    EXPECT_EQ(parse_command_line({"run", "--why", "--ttl=5s", "N", "x"}).run.why, "--ttl=5s");
    EXPECT_EQ(parse_command_line({"run", "--why", "a=b c", "N", "x"}).run.why, "a=b c");
}

TEST(wrong_usage, names_the_thing_and_the_remedy) {
    EXPECT_EQ(refusal({}), "a command is needed: " + known_subcommands() + "; see 'holdfast --help'");
    EXPECT_EQ(refusal({"rnu"}), "unknown command 'rnu'; did you mean 'run'?");
    EXPECT_EQ(refusal({"frobnicate"}), "unknown command 'frobnicate'; known are " + known_subcommands());
    EXPECT_EQ(refusal({"run"}), "run needs a NAME; see 'holdfast run --help'");
    EXPECT_EQ(refusal({"run", "N"}),
              "run needs a command after the name; for instance: holdfast run NAME -- true");
    EXPECT_EQ(refusal({"run", "--ttl", "5", "N", "x"}),
              "--ttl '5' is no duration; write it with a unit, such as 10s, 1.5m or 250ms");
    EXPECT_EQ(refusal({"run", "--ttl", "999ms", "N", "x"}),
              "--ttl '999ms' must be from 1s to 24h, or until-death");
    EXPECT_EQ(refusal({"run", "--ttl", "25h", "N", "x"}),
              "--ttl '25h' must be from 1s to 24h, or until-death");
    EXPECT_EQ(refusal({"run", "-w", "5s", "N", "x"}),
              "-w '5s' must be seconds without a unit, such as 10 or 0.5");
    EXPECT_EQ(refusal({"run", "-E", "256", "N", "x"}), "-E '256' must be a number from 0 to 255");
    EXPECT_EQ(refusal({"run", "--slots", "0", "N", "x"}), "--slots '0' must be a number from 1 to 1000000");
    EXPECT_EQ(refusal({"run", "--on-lost", "panic", "N", "x"}),
              "--on-lost 'panic' must be one of term, kill, warn");
    EXPECT_EQ(refusal({"run", "--ttl=", "N", "x"}), "option '--ttl' needs a value that is not empty");
    EXPECT_NE(refusal({"run", "-s", "--slots", "2", "N", "x"}).find("two kinds"), std::string::npos);
    EXPECT_EQ(refusal({"show"}), "show needs a NAME; see 'holdfast show --help'");
    EXPECT_EQ(refusal({"resize", "N"}), "resize needs the number of permits; see 'holdfast resize --help'");
    EXPECT_EQ(refusal({"completion", "fish"}),
              "completion needs one of bash and zsh; see 'holdfast completion --help'");
    EXPECT_EQ(refusal({"--timeout", "0s", "ls"}), "--timeout '0s' must be longer than nothing");
    EXPECT_EQ(refusal({"watch", "--every", "1ms"}), "--every '1ms' must be at least 10ms");
    EXPECT_EQ(refusal({"-n", "run", "N", "x"}), "unknown option '-n'");
    EXPECT_EQ(refusal({"ls", "name"}), "unexpected argument 'name'");
    EXPECT_EQ(refusal({"ls", "--ttl", "5s"}), "unknown option '--ttl'");
}

TEST(help, is_there_for_every_command_and_lists_every_option) {
    for (const words& asked : {words{"--help"}, words{"-h"}, words{"run", "--help"}, words{"run", "N", "-h"},
                               words{"ls", "--help"}, words{"version", "-h"}}) {
        EXPECT_TRUE(parse_command_line(asked).help);
    }
    EXPECT_TRUE(parse_command_line({"help"}).help);
    EXPECT_EQ(parse_command_line({"help", "watch"}).command, subcommand::watch);
    EXPECT_EQ(refusal({"help", "wtach"}), "unknown command 'wtach'; did you mean 'watch'?");
    const std::string text = help_text(subcommand::run);
    for (const char* part : {"-n, --nonblock", "-w, --wait SECONDS", "-E, --conflict-exit-code", "--max-hold",
                             "--url", "Examples:", "Exit codes:"}) {
        EXPECT_NE(text.find(part), std::string::npos) << part;
    }
    EXPECT_FALSE(parse_command_line({"run", "N", "ls", "-h"}).help);
    EXPECT_EQ(parse_command_line({"--version"}).command, subcommand::version);
}

} // namespace
} // namespace holdfast::cli
