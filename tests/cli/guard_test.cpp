// The promise that no other tool gives: the command never outlives the lock.
//
// Every old command here ignores TERM and writes time stamps without end; the next holder writes when it
// begins.
#include "command.hpp"

#include <csignal>
#include <nlohmann/json.hpp>

#include "support/wait_for.hpp"

namespace holdfast::cli {
namespace {

using holdfast::testing::child_process;
using holdfast::testing::wait_for;

class guard_process : public command_test {
  protected:
    void SetUp() override {
        std::ofstream(file("stamp")) << "trap '' TERM HUP\n"
                                        "while :; do echo $EPOCHREALTIME >> \"$1\"; sleep 0.01; done\n";
    }

    words stamping() { return {"bash", file("stamp"), file("old")}; }

    words old_command(words command, words options = {}) {
        words all{"run", "--ttl", "2s"};
        all.insert(all.end(), options.begin(), options.end());
        all.emplace_back("n");
        all.insert(all.end(), command.begin(), command.end());
        return holdfast(all);
    }

    /// A command whose descendant leaves group and session, and stamps.
    words leaving(const std::string& then) {
        return {"bash", "-c", "setsid bash \"$0\" \"$1\" & " + then, file("stamp"), file("old")};
    }

    bool is_stamping() {
        return wait_for([this] { return numbers(contents("old")).size() > 3; }, bound);
    }

    /// The next holder's first act against the old one's last.
    void expect_no_overlap() {
        const auto next = run({"run", "--ttl", "2s", "n", "bash", "-c", "echo $EPOCHREALTIME"});
        ASSERT_EQ(next.status.code, 0) << next.err;
        const auto last = numbers(contents("old")).back();
        EXPECT_LT(last, std::stod(next.out));
        const auto count = numbers(contents("old")).size();
        EXPECT_EQ(run({"run", "n", "sleep", "0.05"}).status.code, 0);
        EXPECT_EQ(numbers(contents("old")).size(), count) << "the old command still runs";
    }

    /// The stopped keeper goes on, and says that its lock was lost.
    static void expect_lost_on_resume(child_process& old) {
        old.signal(SIGCONT);
        const auto status = old.wait(bound);
        ASSERT_TRUE(status);
        EXPECT_EQ(status->code, 79);
    }

    pid_t child_of(pid_t parent) {
        std::string found;
        EXPECT_TRUE(wait_for(
            [&] {
                const auto id = std::to_string(parent);
                std::ifstream in("/proc/" + id + "/task/" + id + "/children");
                return static_cast<bool>(in >> found);
            },
            bound));
        return std::stoi(found);
    }
};

TEST_F(guard_process, ends_the_command_while_the_keeper_is_stopped) {
    child_process old(old_command(stamping()), surroundings());
    ASSERT_TRUE(is_stamping());
    old.signal(SIGSTOP);
    expect_no_overlap();
    expect_lost_on_resume(old);
}

TEST_F(guard_process, ends_descendants_that_left_the_group_and_the_session) {
    child_process old(old_command(leaving("wait")), surroundings());
    ASSERT_TRUE(is_stamping());
    old.signal(SIGSTOP);
    expect_no_overlap();
    expect_lost_on_resume(old);
}

TEST_F(guard_process, ends_the_command_when_the_keeper_is_killed) {
    child_process old(old_command(stamping()), surroundings());
    ASSERT_TRUE(is_stamping());
    old.signal(SIGKILL);
    ASSERT_TRUE(old.wait(bound));
    expect_no_overlap();
}

TEST_F(guard_process, leaves_nothing_running_when_it_is_killed_itself) {
    auto how = surroundings();
    how.err = holdfast::testing::redirect::pipe();
    child_process old(old_command(leaving("wait")), how);
    ASSERT_TRUE(is_stamping());
    ASSERT_EQ(::kill(child_of(old.pid()), SIGKILL), 0);
    const auto status = old.wait(bound);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->code, 70);
    expect_no_overlap();
}

TEST_F(guard_process, ends_what_a_finished_command_left_behind_before_the_release) {
    child_process old(
        old_command(leaving("while [ ! -s \"$1\" ]; do sleep 0.01; done; exit 6"), {"--kill-after", "100ms"}),
        surroundings());
    ASSERT_TRUE(is_stamping());
    expect_no_overlap();
    const auto status = old.wait(bound);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->code, 6);
}

TEST_F(guard_process, with_on_lost_warn_lets_the_command_end_by_itself) {
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    child_process old(
        holdfast({"run", "--ttl", "1s", "--on-lost", "warn", "n", "bash", "-c",
                  "echo up; while [ ! -e \"$0\" ]; do sleep 0.01; done; echo finished", file("go")}),
        how);
    ASSERT_EQ(old.read_line(bound), "up");
    old.signal(SIGSTOP);
    ASSERT_EQ(code({"run", "n", "touch", file("go")}), 0);
    EXPECT_EQ(old.read_line(bound), "finished");
    expect_lost_on_resume(old);
}

TEST_F(guard_process, with_on_lost_kill_gives_no_time) {
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    child_process old(
        holdfast({"run", "--on-lost", "kill", "n", "bash", "-c",
                  "trap 'touch \"$0\"' TERM; echo up; while :; do sleep 0.01; done", file("asked")}),
        how);
    ASSERT_EQ(old.read_line(bound), "up");
    ASSERT_EQ(code({"break", "--yes", "n"}), 0);
    const auto status = old.wait(bound);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->code, 79);
    EXPECT_FALSE(exists("asked")) << "KILL only";
}

TEST_F(guard_process, ends_a_command_that_is_stopped_when_its_hold_is_lost) {
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    child_process old(holdfast({"run", "--kill-after", "100ms", "n", "bash", "-c",
                                "trap '' TERM; echo $$; kill -STOP $$; sleep 100"}),
                      how);
    const auto command = old.read_line(bound);
    ASSERT_TRUE(command);
    const auto is_stopped = [&command] {
        std::ifstream in("/proc/" + *command + "/stat");
        const std::string text((std::istreambuf_iterator<char>(in)), {});
        return text.find(") T ") != std::string::npos;
    };
    ASSERT_TRUE(wait_for(is_stopped, bound));
    ASSERT_EQ(code({"break", "--yes", "n"}), 0);
    const auto status = old.wait(bound);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->code, 79);
    EXPECT_TRUE(holdfast::testing::is_gone(std::stoi(*command)));
}

TEST_F(guard_process, is_asked_to_start_the_command_once_there_is_time_to_end_it) {
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    child_process holder(holdfast({"run", "n", "sh", "-c", "echo up; exec sleep 100"}), how);
    ASSERT_EQ(holder.read_line(bound), "up");
    child_process waiting(holdfast({"run", "--ttl", "4s", "--margin", "1900ms", "--kill-after", "50ms", "n",
                                    "sh", "-c", "exit 5"}),
                          surroundings());
    const auto left_ms = [this] {
        const auto shown = nlohmann::json::parse(run({"show", "--json", "n"}).out)["resource"]["claims"];
        return shown.size() == 2 ? shown[1]["ttl_left_ms"].get<int>() : 4000;
    };
    ASSERT_TRUE(wait_for([&] { return left_ms() < 4000; }, bound)) << "it waits";
    waiting.signal(SIGSTOP);
    ASSERT_TRUE(wait_for([&] { return left_ms() < 1900; }, bound));
    holder.kill();
    waiting.signal(SIGCONT);
    const auto status = waiting.wait(bound);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->code, 5);
}

TEST_F(guard_process, that_is_killed_while_waiting_ends_the_waiting_with_70) {
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    child_process holder(holdfast({"run", "n", "sh", "-c", "echo up; exec sleep 100"}), how);
    ASSERT_EQ(holder.read_line(bound), "up");
    child_process waiting(holdfast({"run", "n", "true"}), surroundings());
    ASSERT_TRUE(wait_for(
        [this] {
            return run({"ls", "--json"}).out.find("\"holds\": false") != std::string::npos;
        },
        bound));
    ASSERT_EQ(::kill(child_of(waiting.pid()), SIGKILL), 0);
    const auto status = waiting.wait(bound);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->code, 70);
    EXPECT_EQ(run({"ls", "--json"}).out.find("\"holds\": false"), std::string::npos) << "it left the line";
}

TEST_F(guard_process, lets_a_renewed_hold_go_on_for_many_ttls) {
    EXPECT_EQ(code({"run", "--ttl", "2s", "n", "sleep", "5"}), 0);
}

TEST_F(guard_process, gives_term_before_kill) {
    // 1.5 s between the two: a machine that stands still for as long is given no TERM.
    child_process old(
        holdfast({"run", "--ttl", "4s", "--kill-after", "1500ms", "n", "bash", "-c",
                  "trap 'echo term >> \"$0\"; exit' TERM; echo up > \"$0\"; while :; do sleep 0.01; done",
                  file("old")}),
        surroundings());
    ASSERT_TRUE(wait_for([this] { return contents("old") == "up\n"; }, bound));
    old.signal(SIGSTOP);
    EXPECT_TRUE(wait_for([this] { return contents("old") == "up\nterm\n"; }, bound));
    expect_lost_on_resume(old);
}

} // namespace
} // namespace holdfast::cli
