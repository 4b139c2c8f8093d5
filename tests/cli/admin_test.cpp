// show, break, resize, doctor and watch as a user calls them, on the local store.
#include "command.hpp"

#include <csignal>
#include <nlohmann/json.hpp>

#include "support/wait_for.hpp"

namespace holdfast::cli {
namespace {

using holdfast::testing::child_process;
using holdfast::testing::redirect;
using holdfast::testing::run_process;
using holdfast::testing::wait_for;
using nlohmann::json;

class admin_command : public command_test {
  protected:
    /// Holds until the object ends; returns once it does.
    child_process& hold(const words& options, const std::string& name) {
        words arguments{"run"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        arguments.insert(arguments.end(), {name, "sh", "-c", "echo up; exec sleep 100"});
        started_.push_back(std::make_unique<child_process>(holdfast(arguments), piped()));
        EXPECT_EQ(started_.back()->read_line(bound), "up");
        return *started_.back();
    }

    /// Comes to stand in line for the name.
    child_process& wait_for_turn(const words& options, const std::string& name) {
        const std::size_t before = shown(name)["resource"]["claims"].size();
        words arguments{"run"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        arguments.insert(arguments.end(), {name, "sh", "-c", "echo up; exec sleep 100"});
        started_.push_back(std::make_unique<child_process>(holdfast(arguments), piped()));
        EXPECT_TRUE(wait_for([&] { return shown(name)["resource"]["claims"].size() == before + 1; }, bound));
        return *started_.back();
    }

    holdfast::testing::process_options piped() const {
        auto how = surroundings();
        how.out = redirect::pipe();
        return how;
    }

    json shown(const std::string& name) const { return json::parse(run({"show", "--json", name}).out); }

    std::string token_of_holder(const std::string& name) const {
        return shown(name)["resource"]["claims"][0]["token"];
    }

    std::vector<std::unique_ptr<child_process>> started_;
};

TEST_F(admin_command, show_says_that_a_name_is_free_and_exits_with_0) {
    const auto done = run({"show", "n"});
    EXPECT_EQ(done.status.code, 0);
    EXPECT_EQ(done.out, "");
    EXPECT_EQ(done.err, "holdfast: 'n' is free: nobody holds it or waits for it in " + url() + "\n");
    const json free = shown("n")["resource"];
    EXPECT_EQ(free["name"], "n");
    EXPECT_TRUE(free["kind"].is_null());
    EXPECT_EQ(free["claims"], json::array());
}

TEST_F(admin_command, show_lists_holder_and_waiters_in_the_order_of_the_line) {
    const auto& holder = hold({"--why", "month end"}, "n");
    const auto& first = wait_for_turn({}, "n");
    const auto& second = wait_for_turn({}, "n");
    const json out = shown("n");
    EXPECT_EQ(out["url"], url());
    EXPECT_EQ(out["engine"], "local");
    const json& claims = out["resource"]["claims"];
    ASSERT_EQ(claims.size(), 3U);
    EXPECT_EQ(claims[0]["pid"], holder.pid());
    EXPECT_EQ(claims[0]["why"], "month end");
    EXPECT_EQ(claims[1]["pid"], first.pid());
    EXPECT_EQ(claims[2]["pid"], second.pid());
    EXPECT_TRUE(claims[0]["holds"] && !claims[1]["holds"] && !claims[2]["holds"]);

    const std::string text = run({"show", "n"}).out;
    EXPECT_EQ(text.substr(0, text.find('\n')), "n: lock, 1 holding, 2 waiting");
    EXPECT_NE(text.find("\n1      holds  exclusive  live   "), std::string::npos) << text;
    EXPECT_NE(text.find("\n3      waits  exclusive  live   "), std::string::npos) << text;
    EXPECT_EQ(text.find('\033'), std::string::npos) << "no colours into a pipe";
    EXPECT_NE(run({"show", "--color", "always", "n"}).out.find("\033[32mlive"), std::string::npos);
    EXPECT_EQ(run({"show", "--plain", "n"}).out.substr(0, 23), "1\tholds\texclusive\tlive\t");
    EXPECT_EQ(run({"show", "--stale", "n"}).out, "");
    EXPECT_EQ(run({"show", "--stale", "n"}).err, "holdfast: nothing of 'n' is stale\n");
    EXPECT_EQ(run({"ls", "--stale"}).err, "holdfast: nothing is stale in " + url() + "\n")
        << "not: nobody holds";
}

TEST_F(admin_command, break_takes_the_hold_away_and_the_next_in_line_gets_it) {
    auto& holder = hold({}, "n");
    auto& next = wait_for_turn({}, "n");
    const auto asked = run({"break", "n"});
    EXPECT_EQ(asked.status.code, 64);
    EXPECT_NE(asked.err.find("--yes"), std::string::npos) << asked.err;
    const auto done = run({"break", "--yes", "n"});
    EXPECT_EQ(done.status.code, 0) << done.err;
    EXPECT_EQ(done.err, "holdfast: took 1 hold of 'n' away\n");
    const auto status = holder.wait(bound);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->code, 79) << "its command was ended";
    EXPECT_EQ(next.read_line(bound), "up");
}

TEST_F(admin_command, break_with_a_token_touches_that_hold_only) {
    hold({}, "n");
    const std::string token = token_of_holder("n");
    const auto other = run({"break", "--yes", "--if-token", "1", "n"});
    EXPECT_EQ(other.status.code, 0);
    EXPECT_EQ(other.err, "holdfast: no hold of 'n' has the token 1; nothing was done\n");
    EXPECT_EQ(token_of_holder("n"), token);
    EXPECT_EQ(json::parse(run({"break", "--json", "--yes", "--if-token", token, "n"}).out)["broken"], 1);
    const auto status = started_[0]->wait(bound);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->code, 79);
}

TEST_F(admin_command, break_and_resize_of_a_free_name_say_so_and_exit_with_0) {
    for (const words& asked :
         {words{"break", "--yes", "n"}, words{"break", "n"}, words{"resize", "n", "3"}}) {
        const auto done = run(asked);
        EXPECT_EQ(done.status.code, 0);
        EXPECT_EQ(done.err.substr(0, 23), "holdfast: 'n' is free: ") << done.err;
    }
    EXPECT_EQ(json::parse(run({"break", "--json", "n"}).out)["broken"], 0);
    EXPECT_EQ(json::parse(run({"resize", "--json", "n", "3"}).out)["resized"], false);
}

TEST_F(admin_command, resize_lets_more_run_at_once_and_asks_for_the_new_number) {
    hold({"--slots", "1"}, "pool");
    auto& next = wait_for_turn({"--slots", "1"}, "pool");
    const auto done = run({"resize", "pool", "2"});
    EXPECT_EQ(done.status.code, 0) << done.err;
    EXPECT_EQ(next.read_line(bound), "up");
    EXPECT_EQ(code({"run", "-n", "--slots", "1", "pool", "true"}), 64);
    EXPECT_EQ(code({"run", "-n", "--slots", "2", "pool", "true"}), 75);
    hold({}, "lock");
    EXPECT_EQ(code({"resize", "lock", "2"}), 64) << "a lock has no number of permits";
}

TEST_F(admin_command, doctor_finds_a_sound_local_store_and_says_what_it_promises) {
    const auto done = run({"doctor", "--json"});
    EXPECT_EQ(done.status.code, 0) << done.err << done.out;
    const json out = json::parse(done.out);
    EXPECT_EQ(out["url"], url());
    EXPECT_EQ(out["engine"], "local");
    EXPECT_EQ(out["level"], "fenced");
    EXPECT_TRUE(out["why"].is_null());
    EXPECT_GE(out["findings"].size(), 2U) << done.out;
    for (const json& each : out["findings"]) {
        EXPECT_NE(each["severity"], "error") << each;
        EXPECT_FALSE(each["what"].get<std::string>().empty());
    }
    const auto text = run({"doctor"});
    EXPECT_NE(text.out.find("fine     level"), std::string::npos) << text.out;
}

TEST_F(admin_command, doctor_reports_a_store_that_cannot_be_used) {
    const auto done = run({"doctor", "--json", "--url", "local:relative"});
    EXPECT_EQ(done.status.code, 78);
    const json out = json::parse(done.out);
    EXPECT_EQ(out["findings"][0]["what"], "reachability");
    EXPECT_EQ(out["findings"][0]["severity"], "error");
    EXPECT_TRUE(out["url"].is_null());
}

TEST_F(admin_command, watch_prints_one_object_a_line_as_things_happen) {
    child_process watching(holdfast({"watch", "--json", "--every", "20ms", "n"}), piped());
    const auto next_event = [&watching] {
        const auto line = watching.read_line(bound);
        return line ? json::parse(*line) : json();
    };
    auto& holder = hold({}, "n");
    json event = next_event();
    EXPECT_EQ(event["event"], "holds");
    EXPECT_EQ(event["name"], "n");
    EXPECT_EQ(event["kind"], "lock");
    EXPECT_EQ(event["claim"]["pid"], holder.pid());
    auto& waiter = wait_for_turn({}, "n");
    event = next_event();
    EXPECT_EQ(event["event"], "waits");
    EXPECT_EQ(event["claim"]["pid"], waiter.pid());
    holder.signal(SIGTERM);
    event = next_event();
    EXPECT_EQ(event["event"], "gone");
    EXPECT_EQ(event["claim"]["pid"], holder.pid());
    while (event["event"] == "gone") {
        event = next_event();
    }
    EXPECT_EQ(event["event"], "holds");
    EXPECT_EQ(event["claim"]["pid"], waiter.pid());
}

TEST_F(admin_command, watch_of_everything_speaks_to_people_too) {
    hold({}, "a");
    child_process watching(holdfast({"watch", "--every", "20ms"}), piped());
    const auto line = watching.read_line(bound);
    ASSERT_TRUE(line);
    EXPECT_EQ(line->substr(8, 12), "  a  holds  ") << *line;
    watching.signal(SIGINT);
    const auto status = watching.wait(bound);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->signal, SIGINT);
}

TEST_F(admin_command, output_that_nobody_reads_ends_it_quietly) {
    hold({}, "n");
    const auto done = run_process(
        {"bash", "-c",
         std::string(HOLDFAST_PROGRAM) + " watch --every 10ms | head -n 1; echo ${PIPESTATUS[0]}"},
        bound, surroundings());
    EXPECT_EQ(done.err, "");
    // Nothing changes here, so that only a look at its reader can end it.
    const auto observed =
        run_process({"bash", "-c", std::string(HOLDFAST_PROGRAM) + " elect --observe office | head -n 1"},
                    bound, surroundings());
    EXPECT_NE(observed.out.find("nobody leads"), std::string::npos) << observed.out;
    EXPECT_EQ(observed.err, "");
}

TEST_F(admin_command, wrong_usage_is_64) {
    for (const words& wrong :
         {words{"show"}, words{"show", "a", "b"}, words{"break", "--if-token", "0", "n"},
          words{"resize", "n"}, words{"resize", "n", "0"}, words{"resize", "n", "1000001"},
          words{"resize", "n", "x"}, words{"watch", "--every", "1ms"}, words{"doctor", "n"},
          words{"completion"}, words{"completion", "fish"}, words{"show", std::string(513, 'a')}}) {
        EXPECT_EQ(code(wrong), 64) << ::testing::PrintToString(wrong);
    }
}

TEST_F(admin_command, a_shared_run_is_beside_shared_ones_and_never_beside_an_exclusive_one) {
    auto& reader = hold({"-s"}, "n");
    EXPECT_EQ(code({"run", "-n", "-s", "n", "true"}), 0);
    EXPECT_EQ(code({"run", "-n", "n", "true"}), 75);
    EXPECT_EQ(code({"run", "-n", "-s", "-x", "n", "true"}), 75) << "the last one counts";
    EXPECT_EQ(code({"run", "-n", "-x", "-s", "n", "true"}), 0);
    EXPECT_EQ(code({"run", "-n", "--slots", "2", "n", "true"}), 64);
    EXPECT_EQ(code({"run", "-s", "--slots", "2", "n", "true"}), 64);
    EXPECT_EQ(shown("n")["resource"]["claims"][0]["mode"], "shared");
    auto& writer = wait_for_turn({"-x"}, "n");
    EXPECT_EQ(code({"run", "-s", "-w", "0.1", "n", "true"}), 75) << "a waiting writer is not overtaken";
    reader.signal(SIGTERM);
    EXPECT_EQ(writer.read_line(bound), "up");
    EXPECT_EQ(code({"run", "-n", "-s", "n", "true"}), 75);
}

} // namespace
} // namespace holdfast::cli
