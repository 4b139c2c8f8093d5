// `run` on a real pseudo-terminal.
#include "command.hpp"
#include "on_terminal.hpp"

#include <csignal>
#include <sys/wait.h>

#include "support/wait_for.hpp"

namespace holdfast::cli {
namespace {

using holdfast::testing::child_process;
using holdfast::testing::wait_for;

class on_a_terminal : public command_test {
  protected:
    std::vector<std::pair<std::string, std::string>> environment() const { return surroundings().env; }
};

TEST_F(on_a_terminal, the_command_reads_what_is_typed) {
    on_terminal session(holdfast({"run", "n", "sh", "-c", "echo ready; read x; echo got $x"}), environment());
    ASSERT_TRUE(session.shows("ready"));
    EXPECT_NE(session.foreground(), session.pid());
    session.type("hello\n");
    EXPECT_TRUE(session.shows("got hello")) << session.shown();
    EXPECT_EQ(session.wait(), 0);
}

TEST_F(on_a_terminal, ctrl_c_belongs_to_the_command_and_run_dies_as_it_did) {
    on_terminal session(holdfast({"run", "n", "sh", "-c", "echo ready; exec sleep 100"}), environment());
    ASSERT_TRUE(session.shows("ready"));
    session.type("\x03");
    const int status = session.wait();
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGINT);
}

TEST_F(on_a_terminal, a_command_that_handles_ctrl_c_goes_on_with_its_hold) {
    on_terminal session(
        holdfast({"run", "n", "sh", "-c", "trap 'echo caught' INT; echo ready; read x; read x; echo got $x"}),
        environment());
    ASSERT_TRUE(session.shows("ready"));
    session.type("\x03");
    ASSERT_TRUE(session.shows("caught")) << session.shown();
    EXPECT_EQ(code({"run", "-n", "n", "true"}), 75) << "Ctrl-C was the command's, not ours";
    session.type("hello\n");
    session.type("hello\n");
    EXPECT_TRUE(session.shows("got hello")) << session.shown();
    EXPECT_EQ(session.wait(), 0);
}

TEST_F(on_a_terminal, states_are_coloured_unless_no_color_or_json_is_wanted) {
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    child_process holder(holdfast({"run", "n", "sh", "-c", "echo up; exec sleep 100"}), how);
    ASSERT_EQ(holder.read_line(bound), "up");
    auto variables = environment();
    variables.emplace_back("NO_COLOR", "");
    const auto shown = [&variables](const words& arguments, const std::string& awaited) {
        on_terminal session(holdfast(arguments), variables);
        EXPECT_TRUE(session.shows(awaited)) << session.shown();
        return session.shown();
    };
    for (const char* looking : {"ls", "show", "watch", "doctor"}) {
        words arguments{looking};
        if (arguments[0] == "show") {
            arguments.emplace_back("n");
        }
        const std::string green = arguments[0] == "watch"    ? "\033[32mholds"
                                  : arguments[0] == "doctor" ? "\033[32mfine"
                                                             : "\033[32mlive";
        shown(arguments, green);
    }
    EXPECT_EQ(shown({"ls", "--json"}, "\"ttl_left_ms\"").find('\033'), std::string::npos);
    EXPECT_EQ(shown({"ls", "--color", "never"}, "live").find('\033'), std::string::npos);
    variables.back().second = "1";
    EXPECT_EQ(shown({"ls"}, "live").find('\033'), std::string::npos);
    shown({"ls", "--color", "always"}, "\033[32mlive");
}

TEST_F(on_a_terminal, ctrl_c_while_waiting_leaves_the_line) {
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    child_process holder(holdfast({"run", "n", "sh", "-c", "echo up; exec sleep 100"}), how);
    ASSERT_EQ(holder.read_line(bound), "up");
    on_terminal session(holdfast({"run", "n", "true"}), environment());
    ASSERT_TRUE(session.shows("holdfast: waiting for 'n', held by ")) << "after a second, who holds";
    EXPECT_TRUE(session.shows(":" + std::to_string(holder.pid()) + " sh -c echo up")) << session.shown();
    session.type("\x03");
    const int status = session.wait();
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 128 + SIGINT);
}

TEST_F(on_a_terminal, the_terminal_goes_back_to_whom_it_came_from) {
    const std::string script =
        std::string(HOLDFAST_PROGRAM) + " run n true; echo ready; read x; echo again $x";
    on_terminal session({"sh", "-c", script}, environment());
    ASSERT_TRUE(session.shows("ready"));
    session.type("hello\n");
    EXPECT_TRUE(session.shows("again hello")) << session.shown();
    EXPECT_EQ(session.wait(), 0);
}

TEST_F(on_a_terminal, a_stopped_command_keeps_its_hold_and_can_be_continued) {
    on_terminal session(holdfast({"run", "--ttl", "2s", "n", "sh", "-c", "echo ready; read x; echo got $x"}),
                        environment());
    ASSERT_TRUE(session.shows("ready"));
    session.type("\x1a");
    ASSERT_TRUE(session.shows("holdfast: the command is stopped")) << session.shown();
    EXPECT_EQ(code({"run", "-w", "2.5", "n", "true"}), 75) << "held for longer than a TTL";
    ASSERT_EQ(::kill(session.pid(), SIGCONT), 0);
    ASSERT_TRUE(wait_for([&] { return session.foreground() != session.pid(); }, bound));
    session.type("hello\n");
    EXPECT_TRUE(session.shows("got hello")) << session.shown();
    EXPECT_EQ(session.wait(), 0);
}

TEST_F(on_a_terminal, a_stopped_command_can_be_ended_by_ctrl_c) {
    // No program started by the shell: stopped in the middle of a vfork, its child alone would stop.
    on_terminal session(holdfast({"run", "n", "sh", "-c", "echo ready; read x; exit 3"}), environment());
    ASSERT_TRUE(session.shows("ready"));
    session.type("\x1a");
    ASSERT_TRUE(session.shows("holdfast: the command is stopped"));
    session.type("\x03");
    const int status = session.wait();
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
}

TEST_F(on_a_terminal, a_stopped_command_goes_on_after_another_ctrl_z) {
    on_terminal session(holdfast({"run", "n", "sh", "-c", "echo ready; read x; echo got $x"}), environment());
    ASSERT_TRUE(session.shows("ready"));
    session.type("\x1a");
    ASSERT_TRUE(session.shows("is still held. Ctrl-Z continues it"));
    session.type("\x1a");
    ASSERT_TRUE(wait_for([&] { return session.foreground() != session.pid(); }, bound));
    session.type("hello\n");
    EXPECT_TRUE(session.shows("got hello")) << session.shown();
    EXPECT_EQ(session.wait(), 0);
}

TEST_F(on_a_terminal, a_command_in_a_pipeline_gets_it_once_it_reads_and_not_before) {
    const std::string script = std::string(HOLDFAST_PROGRAM) +
                               " run n sh -c 'echo ready; until [ -e \"$0\" ]; do sleep 0.01; done; read x; "
                               "echo got $x' " +
                               file("go") + " | cat";
    on_terminal session({"sh", "-c", script}, environment());
    ASSERT_TRUE(session.shows("ready"));
    EXPECT_EQ(session.foreground(), session.pid()) << "a pager at the end of the pipeline has it";
    session.type("hello\n");
    std::ofstream(file("go")).flush();
    EXPECT_TRUE(session.shows("got hello")) << session.shown();
    EXPECT_EQ(session.wait(), 0);
}

TEST_F(on_a_terminal, a_background_job_that_reads_goes_on_when_the_shell_brings_it_to_the_foreground) {
    on_terminal session({"bash", "--norc", "--noprofile", "-i"}, environment());
    session.type("PS1='prompt> '; " + std::string(HOLDFAST_PROGRAM) +
                 " run n sh -c 'read x; echo got $x; exit 4' &\n");
    ASSERT_TRUE(session.shows("the command waits for the terminal; 'n' is still held")) << session.shown();
    session.type("fg; echo code=$?\n");
    session.type("hello\n");
    EXPECT_TRUE(session.shows("got hello")) << session.shown();
    EXPECT_TRUE(session.shows("code=4")) << session.shown();
    session.type("exit\n");
    EXPECT_EQ(session.wait(), 0);
}

TEST_F(on_a_terminal, break_has_the_name_typed_before_it_takes_a_hold_away) {
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    child_process holder(holdfast({"run", "n", "sh", "-c", "echo up; exec sleep 100"}), how);
    ASSERT_EQ(holder.read_line(bound), "up");
    {
        on_terminal session(holdfast({"break", "n"}), environment());
        ASSERT_TRUE(session.shows("held by ")) << session.shown();
        ASSERT_TRUE(session.shows("Type the name"));
        session.type("m\n");
        EXPECT_TRUE(session.shows("nothing was done"));
        const int status = session.wait();
        ASSERT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), 75);
        EXPECT_TRUE(holder.running());
    }
    on_terminal session(holdfast({"break", "n"}), environment());
    ASSERT_TRUE(session.shows("Type the name"));
    session.type("n\n");
    EXPECT_EQ(session.wait(), 0) << session.shown();
    const auto status = holder.wait(bound);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->code, 79);
}

} // namespace
} // namespace holdfast::cli
