// `holdfast run` as a user calls it: exit codes, options, environment, exclusion.
#include "command.hpp"

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>
#include <unistd.h>

#include "support/wait_for.hpp"

namespace holdfast::cli {
namespace {

using holdfast::testing::child_process;
using holdfast::testing::run_process;
using holdfast::testing::wait_for;
using nlohmann::json;

class run_command : public command_test {
  protected:
    /// Holds `name` until the object ends; returns once it does.
    std::unique_ptr<child_process> holder(const std::string& name, const words& options = {}) {
        words arguments{"run"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        arguments.insert(arguments.end(), {name, "sh", "-c", "echo up; exec sleep 100"});
        auto how = surroundings();
        how.out = holdfast::testing::redirect::pipe();
        auto started = std::make_unique<child_process>(holdfast(arguments), how);
        EXPECT_EQ(started->read_line(bound), "up");
        return started;
    }
};

TEST_F(run_command, exits_as_its_command_does) {
    EXPECT_EQ(code({"run", "n", "true"}), 0);
    EXPECT_EQ(code({"run", "n", "--", "sh", "-c", "exit 7"}), 7);
    EXPECT_EQ(code({"run", "n", "-c", "exit 9"}), 9);
    EXPECT_EQ(code({"run", "n", "sh", "-c", "kill -TERM $$"}), 1000 + SIGTERM);
    EXPECT_EQ(code({"run", "n", "sh", "-c", "kill -KILL $$"}), 1000 + SIGKILL);
}

TEST_F(run_command, tells_a_missing_command_from_one_that_cannot_run) {
    const auto missing = run({"run", "n", "no-such-command"});
    EXPECT_EQ(missing.status.code, 127);
    EXPECT_EQ(missing.err, "holdfast: cannot run 'no-such-command': No such file or directory\n");
    EXPECT_EQ(code({"run", "n", "/etc/passwd"}), 126);
    EXPECT_EQ(code({"run", "-n", "n", "true"}), 0) << "the failures left nothing held";
}

TEST_F(run_command, refuses_wrong_usage_with_64) {
    for (const words& wrong :
         {words{}, words{"frob"}, words{"run"}, words{"run", "n"}, words{"run", "", "true"},
          words{"run", std::string(513, 'a'), "true"}, words{"run", "--tll", "5s", "n", "true"},
          words{"run", "--ttl", "5", "n", "true"}, words{"run", "--ttl", "500ms", "n", "true"},
          words{"run", "-s", "--slots", "2", "n", "true"}, words{"run", "--slots", "0", "n", "true"},
          words{"run", "--slots", "1000001", "n", "true"},
          words{"run", "--margin", "4s", "--kill-after", "2s", "n", "true"},
          words{"run", "--status-fd", "77", "n", "true"},
          words{"run", "--why", std::string(129, 'a'), "n", "true"}}) {
        const auto refused = run(wrong);
        EXPECT_EQ(refused.status.code, 64) << ::testing::PrintToString(wrong);
        EXPECT_EQ(refused.err.substr(0, 10), "holdfast: ") << refused.err;
        EXPECT_EQ(refused.out, "");
    }
    EXPECT_EQ(code({"run", std::string(512, 'a'), "true"}), 0);
}

TEST_F(run_command, refuses_a_bad_store_with_78_and_never_shows_a_password) {
    EXPECT_EQ(code({"run", "--url", "local:relative", "n", "true"}), 78);
    EXPECT_EQ(code({"run", "--url", "nothing", "n", "true"}), 78);
    const auto unknown = run({"run", "--url", "zk://ann:hunter2@h", "n", "true"});
    EXPECT_EQ(unknown.status.code, 78);
    EXPECT_EQ(unknown.err.find("hunter2"), std::string::npos) << unknown.err;
}

TEST_F(run_command, reads_the_configuration_file_and_refuses_a_bad_one) {
    std::filesystem::create_directory(folder_ / "holdfast");
    std::ofstream(folder_ / "holdfast/config.toml") << "url = \"" << url() << "\"\nttl = \"3s\"\n";
    auto how = surroundings();
    how.unset_env.push_back("HOLDFAST_URL");
    how.env.erase(how.env.begin());
    const auto done =
        run_process(holdfast({"run", "n", "sh", "-c", "echo $HOLDFAST_URL $HOLDFAST_TTL_MS"}), bound, how);
    EXPECT_EQ(done.out, url() + " 3000\n");

    std::ofstream(folder_ / "holdfast/config.toml") << "ulr = \"local:\"\n";
    const auto refused = run({"run", "n", "true"});
    EXPECT_EQ(refused.status.code, 78);
    EXPECT_NE(refused.err.find("config.toml:1: unknown key 'ulr'"), std::string::npos) << refused.err;
    std::ofstream(folder_ / "holdfast/config.toml") << "timeout = \"0s\"\n";
    EXPECT_EQ(code({"run", "n", "true"}), 78);
}

TEST_F(run_command, needs_no_configuration_file_that_it_may_not_read_when_the_url_is_given) {
    // Root may read everything: the command runs as nobody, with a store of its own.
    if (::geteuid() != 0) {
        std::filesystem::create_directory(folder_ / "holdfast");
        std::filesystem::permissions(folder_ / "holdfast", std::filesystem::perms::none);
        EXPECT_EQ(code({"run", "n", "true"}), 0);
        std::filesystem::permissions(folder_ / "holdfast", std::filesystem::perms::owner_all);
        return;
    }
    std::filesystem::create_directory(folder_ / "holdfast");
    std::filesystem::permissions(folder_ / "holdfast", std::filesystem::perms(0700));
    std::filesystem::create_directory(folder_ / "store");
    ASSERT_EQ(::chown((folder_ / "store").c_str(), 65534, 65534), 0);
    auto how = surroundings();
    how.uid = 65534;
    how.gid = 65534;
    const auto done = run_process(for_anybody({"run", "n", "true"}), bound, how);
    EXPECT_EQ(done.status.code, 0) << done.err;
    how.env.erase(how.env.begin());
    how.unset_env.push_back("HOLDFAST_URL");
    const auto refused = run_process(for_anybody({"run", "n", "true"}), bound, how);
    EXPECT_EQ(refused.status.code, 78) << "a store chosen by default would be a surprise";
}

TEST_F(run_command, exits_with_77_where_it_may_not_use_the_folder) {
    std::filesystem::create_directory(folder_ / "store");
    std::filesystem::permissions(folder_ / "store", std::filesystem::perms(::geteuid() == 0 ? 0700 : 0000));
    auto how = surroundings();
    if (::geteuid() == 0) { // Who may do everything asks as somebody who may not.
        how.uid = 65534;
        how.gid = 65534;
    }
    const auto refused = run_process(for_anybody({"run", "n", "true"}), bound, how);
    EXPECT_EQ(refused.status.code, 77) << refused.err;
    EXPECT_NE(refused.err.find(file("store")), std::string::npos) << refused.err;
    std::filesystem::permissions(folder_ / "store", std::filesystem::perms(0700));
}

TEST_F(run_command, exits_with_69_when_the_segment_is_damaged) {
    ASSERT_EQ(code({"run", "n", "true"}), 0);
    const std::string segment = file("store/holdfast.segment");
    ASSERT_TRUE(std::filesystem::exists(segment));
    std::fstream(segment, std::ios::in | std::ios::out | std::ios::binary) << "damaged!";
    for (const words& asked : {words{"run", "n", "true"}, words{"ls"}, words{"doctor"}}) {
        const auto refused = run(asked);
        EXPECT_EQ(refused.status.code, 69) << refused.err;
        EXPECT_NE((refused.out + refused.err).find("damaged"), std::string::npos) << refused.err;
    }
}

TEST_F(run_command, runs_the_callers_shell_with_c_as_flock_does) {
    auto how = surroundings();
    how.env.emplace_back("SHELL", "/bin/bash");
    EXPECT_EQ(run_process(holdfast({"run", "n", "-c", "echo ${BASH_VERSION:+bash}"}), bound, how).out,
              "bash\n");
    how.env.back().second = "bash";
    EXPECT_EQ(run_process(holdfast({"run", "n", "-c", "echo $0"}), bound, how).out, "/bin/sh\n")
        << "no whole path: not to be trusted";
}

TEST_F(run_command, is_linked_with_no_shared_library_but_libc) {
    if constexpr (HOLDFAST_IS_SANITIZED) {
        return; // The sanitizers' own libraries are shared.
    }
    const auto needed = run_process({"readelf", "-d", HOLDFAST_PROGRAM}, bound);
    ASSERT_EQ(needed.status.code, 0) << needed.err;
    std::istringstream lines(needed.out);
    for (std::string line; std::getline(lines, line);) {
        if (line.find("(NEEDED)") != std::string::npos) {
            const std::string library = line.substr(line.find('['));
            EXPECT_TRUE(library == "[libc.so.6]" || library == "[libm.so.6]" ||
                        library == "[ld-linux-x86-64.so.2]" || library == "[ld-linux-aarch64.so.1]")
                << library << " costs time at every start";
        }
    }
}

TEST_F(run_command, says_so_when_the_network_stores_are_not_installed) {
    std::filesystem::create_directory(folder_ / "bin");
    std::filesystem::copy_file(HOLDFAST_PROGRAM, folder_ / "bin/holdfast");
    const auto refused = run_process(
        {file("bin/holdfast"), "run", "--url", "etcd://127.0.0.1:1", "n", "true"}, bound, surroundings());
    EXPECT_EQ(refused.status.code, 78);
    EXPECT_NE(refused.err.find("libexec/holdfast/holdfast-net"), std::string::npos) << refused.err;
}

TEST_F(run_command, exits_with_75_when_taken_or_as_asked) {
    const auto held = holder("n");
    EXPECT_EQ(code({"run", "-n", "n", "true"}), 75);
    EXPECT_EQ(code({"run", "-w", "0.05", "n", "true"}), 75);
    EXPECT_EQ(code({"run", "-w", "0", "n", "true"}), 75);
    EXPECT_EQ(code({"run", "-n", "-E", "9", "n", "true"}), 9);
    EXPECT_EQ(code({"run", "-n", "--skip-ok", "n", "true"}), 0);
    EXPECT_EQ(run({"run", "-n", "n", "true"}).err, "") << "silent as flock is";
    EXPECT_EQ(run({"run", "-n", "--verbose", "n", "true"}).err, "holdfast: 'n' is taken\n");
    EXPECT_EQ(code({"run", "-n", "other", "true"}), 0);
}

TEST_F(run_command, refuses_another_kind_on_a_name_in_use) {
    const auto held = holder("n");
    EXPECT_EQ(code({"run", "--slots", "2", "n", "true"}), 64);
    const auto pool = holder("pool", {"--slots", "2"});
    EXPECT_EQ(code({"run", "--slots", "3", "pool", "true"}), 64);
    EXPECT_EQ(code({"run", "pool", "true"}), 64);
    EXPECT_EQ(code({"run", "-n", "--slots", "2", "pool", "true"}), 0);
    const auto second = holder("pool", {"--slots", "2"});
    EXPECT_EQ(code({"run", "-n", "--slots", "2", "pool", "true"}), 75);
}

TEST_F(run_command, refuses_a_name_that_an_ancestor_holds) {
    const auto nested = run({"run", "n", HOLDFAST_PROGRAM, "run", "n", "true"});
    EXPECT_EQ(nested.status.code, 64);
    EXPECT_NE(nested.err.find("'n'"), std::string::npos);
    EXPECT_EQ(code({"run", "n", HOLDFAST_PROGRAM, "run", "m", "sh", "-c", "exit 5"}), 5);
    EXPECT_EQ(code({"run", "n", HOLDFAST_PROGRAM, "run", "m", HOLDFAST_PROGRAM, "run", "-n", "n", "true"}),
              64);
    const std::string other_spelling =
        "local:" + folder_.path().string() + "/../" + folder_.path().filename().string() + "/store/";
    EXPECT_EQ(code({"run", "n", HOLDFAST_PROGRAM, "run", "--url", other_spelling, "-w", "5", "n", "true"}),
              64);
}

TEST_F(run_command, gives_its_command_the_promised_environment) {
    const auto done =
        run({"run", "--ttl", "4s", "a name", "sh", "-c",
             "echo $HOLDFAST_NAME; echo $HOLDFAST_URL; echo $HOLDFAST_TTL_MS; echo $HOLDFAST_TOKEN"});
    const std::string expected = "a name\n" + url() + "\n4000\n";
    ASSERT_EQ(done.out.substr(0, expected.size()), expected);
    const auto first = std::stoull(done.out.substr(expected.size()));
    const auto again = run({"run", "a name", "sh", "-c", "echo $HOLDFAST_TOKEN"});
    EXPECT_GT(std::stoull(again.out), first) << "tokens rise";
}

TEST_F(run_command, passes_stdin_arguments_and_signal_mask_untouched_and_leaks_no_descriptor) {
    auto how = surroundings();
    how.input = "hello";
    EXPECT_EQ(run_process(holdfast({"run", "n", "cat"}), bound, how).out, "hello");
    EXPECT_EQ(run({"run", "n", "printf", "%s|", "-n", "--url=x", "--", ""}).out, "-n|--url=x|--||");
    const auto listed = run({"run", "n", "ls", "/proc/self/fd"});
    EXPECT_EQ(listed.out, "0\n1\n2\n3\n") << "3 is the folder that ls reads";
    // Against a child started without us: what starts the tests may ignore signals that nothing can reset.
    const words masks{"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"};
    const auto plain = run_process(masks, bound, surroundings()).out;
    EXPECT_NE(plain, "");
    EXPECT_EQ(run({"run", "n", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"}).out, plain);
}

TEST_F(run_command, keeps_what_its_caller_ignores_ignored) {
    const words ignoring{"env", "--ignore-signal=HUP", "--ignore-signal=CHLD"};
    const words ask{"grep", "^SigIgn", "/proc/self/status"};
    const auto joined = [](words first, const words& second) {
        first.insert(first.end(), second.begin(), second.end());
        return first;
    };
    const auto plain = run_process(joined(ignoring, ask), bound, surroundings());
    ASSERT_EQ(plain.status.code, 0) << plain.err;
    const auto ours =
        run_process(joined(joined(ignoring, {HOLDFAST_PROGRAM, "run", "n"}), ask), bound, surroundings());
    EXPECT_EQ(ours.status.code, 0) << ours.err;
    EXPECT_EQ(ours.out, plain.out);
    const auto ignored = std::stoull(ours.out.substr(ours.out.find(':') + 1), nullptr, 16);
    constexpr auto asked = (1ULL << (SIGHUP - 1)) | (1ULL << (SIGCHLD - 1));
    EXPECT_EQ(ignored & asked, asked);
}

/// Starts and ends of each child on one clock, from files that each child wrote.
struct span {
    double from;
    double to;
};

std::vector<span> spans(const std::vector<double>& stamps) {
    std::vector<span> found;
    for (std::size_t index = 0; index + 1 < stamps.size(); index += 2) {
        found.push_back({stamps[index], stamps[index + 1]});
    }
    return found;
}

std::size_t most_at_once(const std::vector<span>& all) {
    std::size_t most = 0;
    for (const span& one : all) {
        most = std::max(
            most, static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [&one](const span& other) {
                return other.from <= one.from && one.from < other.to;
            })));
    }
    return most;
}

TEST_F(run_command, two_runs_of_one_name_never_overlap) {
    constexpr int processes = 4;
    constexpr int rounds = 6;
    const std::string script =
        "for i in $(seq " + std::to_string(rounds) + "); do " + HOLDFAST_PROGRAM +
        " run n bash -c 'echo $EPOCHREALTIME; sleep 0.01; echo $EPOCHREALTIME' >> \"$0\" || exit; done";
    std::vector<std::unique_ptr<child_process>> started;
    for (int index = 0; index < processes; ++index) {
        started.push_back(std::make_unique<child_process>(
            words{"bash", "-c", script, file("stamps" + std::to_string(index))}, surroundings()));
    }
    std::vector<span> all;
    for (int index = 0; index < processes; ++index) {
        const auto status = started[static_cast<std::size_t>(index)]->wait(bound);
        ASSERT_TRUE(status && status->ok());
        for (const span& each : spans(numbers(contents("stamps" + std::to_string(index))))) {
            all.push_back(each);
        }
    }
    EXPECT_EQ(all.size(), static_cast<std::size_t>(processes * rounds));
    EXPECT_EQ(most_at_once(all), 1U);
}

TEST_F(run_command, as_many_slots_as_asked_for_run_at_once) {
    const auto first = holder("pool", {"--slots", "2"});
    const auto second = holder("pool", {"--slots", "2"});
    EXPECT_EQ(code({"run", "--slots", "2", "-w", "0.1", "pool", "true"}), 75);
    second->signal(SIGTERM);
    EXPECT_EQ(code({"run", "--slots", "2", "pool", "true"}), 0);
}

TEST_F(run_command, ends_a_command_that_holds_longer_than_max_hold) {
    const auto done = run({"run", "--max-hold", "100ms", "n", "sleep", "100"});
    EXPECT_EQ(done.status.code, 124);
    EXPECT_NE(done.err.find("--max-hold"), std::string::npos);
    EXPECT_EQ(code({"run", "--max-hold", "100ms", "--kill-after", "50ms", "n", "sh", "-c",
                    "trap '' TERM; sleep 100"}),
              124);
    EXPECT_EQ(code({"run", "--max-hold", "60s", "n", "sh", "-c", "exit 3"}), 3);
}

TEST_F(run_command, holds_at_least_so_long) {
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    child_process first(holdfast({"run", "--at-least", "60s", "n", "sh", "-c", "echo $$; exit 4"}), how);
    const auto command = first.read_line(bound);
    ASSERT_TRUE(command);
    ASSERT_TRUE(wait_for([&] { return !std::filesystem::exists("/proc/" + *command); }, bound));
    EXPECT_EQ(code({"run", "-n", "n", "true"}), 75);
    first.signal(SIGTERM);
    const auto status = first.wait(bound);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->code, 4);
}

TEST_F(run_command, writes_one_line_about_the_outcome) {
    const auto report = [this](const std::string& arguments) {
        const auto done = run_process(
            {"sh", "-c", std::string(HOLDFAST_PROGRAM) + " run --status-fd 3 " + arguments + " 3>\"$0\"",
             file("status")},
            bound, surroundings());
        const std::string line = contents("status");
        EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
        return json::parse(line);
    };
    const json ended = report("n sh -c 'exit 79'");
    EXPECT_EQ(ended["outcome"], "completed");
    EXPECT_EQ(ended["exit"], 79);
    EXPECT_GT(std::stoull(ended["token"].get<std::string>()), 0U);
    const json killed = report("n sh -c 'kill -9 $$'");
    EXPECT_EQ(killed["outcome"], "completed");
    EXPECT_EQ(killed["signal"], 9);
    EXPECT_EQ(report("--max-hold 20ms n sleep 9")["outcome"], "max_hold");
    EXPECT_EQ(report("n no-such-command")["outcome"], "not_started");
    const json late = report("--ttl 2s --margin 1s n true");
    EXPECT_EQ(late["outcome"], "error");
    EXPECT_EQ(late["exit"], 64);
    std::filesystem::create_directory(folder_ / "holdfast");
    std::ofstream(file("holdfast/config.toml")) << "nonsense\n";
    const json badly_configured = report("n true");
    EXPECT_EQ(badly_configured["exit"], 78);
    EXPECT_NE(badly_configured["reason"].get<std::string>().find("config.toml:1"), std::string::npos);
    std::filesystem::remove_all(folder_ / "holdfast");
    const json wrong = report("--url local:relative n true");
    EXPECT_EQ(wrong["outcome"], "error");
    EXPECT_EQ(wrong["exit"], 78);
    EXPECT_NE(wrong["reason"].get<std::string>().find("local:relative"), std::string::npos) << wrong;
    const json timed = report("n sleep 0.2");
    EXPECT_GE(timed["held_ms"], 200);
    EXPECT_TRUE(timed["signal"].is_null());
    EXPECT_TRUE(timed["reason"].is_null());
    const json lost = report("n sh -c '" + std::string(HOLDFAST_PROGRAM) + " break --yes n; sleep 100'");
    EXPECT_EQ(lost["outcome"], "lost");
    EXPECT_EQ(lost["exit"], 79);
    EXPECT_EQ(lost["reason"], "broken");
    const auto held = holder("n");
    const json busy = report("-w 0.2 n true");
    EXPECT_EQ(busy["outcome"], "not_acquired");
    EXPECT_EQ(busy["exit"], 75);
    EXPECT_GE(busy["waited_ms"], 200);
    EXPECT_TRUE(busy["token"].is_null());
}

TEST_F(run_command, writes_the_status_line_when_a_signal_ends_the_waiting) {
    const auto held = holder("n");
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    child_process waiting(holdfast({"run", "--status-fd", "1", "n", "true"}), how);
    ASSERT_TRUE(wait_for(
        [this] {
            return run({"ls", "--json"}).out.find("\"holds\": false") != std::string::npos;
        },
        bound));
    waiting.signal(SIGINT);
    const json line = json::parse(waiting.read_line(bound).value_or(""));
    EXPECT_EQ(line["outcome"], "cancelled");
    EXPECT_EQ(line["exit"], 128 + SIGINT);
    EXPECT_EQ(line["signal"], SIGINT);
}

TEST_F(run_command, leaves_when_a_signal_comes_while_it_waits) {
    const auto held = holder("n");
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) {
        child_process waiting(holdfast({"run", "n", "touch", file("ran")}), surroundings());
        ASSERT_TRUE(wait_for(
            [this] {
                return run({"ls", "--json"}).out.find("\"holds\": false") != std::string::npos;
            },
            bound));
        waiting.signal(number);
        const auto status = waiting.wait(bound);
        ASSERT_TRUE(status);
        EXPECT_EQ(status->code, 128 + number);
        EXPECT_EQ(run({"ls", "--json"}).out.find("\"holds\": false"), std::string::npos)
            << "it left the line";
    }
    EXPECT_FALSE(exists("ran"));
}

TEST_F(run_command, forwards_signals_to_the_whole_group_of_its_command) {
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) {
        auto how = surroundings();
        how.out = holdfast::testing::redirect::pipe();
        const std::string script = "trap 'exit 5' " + std::to_string(number) + "; sleep 100 & echo up; wait";
        // Background processes of a shell ignore INT and QUIT: --kill-after ends what is left of them soon.
        child_process running(holdfast({"run", "--kill-after", "50ms", "n", "bash", "-c", script}), how);
        ASSERT_EQ(running.read_line(bound), "up");
        running.signal(number);
        const auto status = running.wait(bound);
        ASSERT_TRUE(status) << number;
        EXPECT_EQ(status->code, 5) << number;
    }
}

} // namespace
} // namespace holdfast::cli
