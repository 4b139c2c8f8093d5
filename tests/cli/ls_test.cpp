#include "command.hpp"

#include <csignal>
#include <nlohmann/json.hpp>

#include "support/wait_for.hpp"

namespace holdfast::cli {
namespace {

using holdfast::testing::child_process;
using holdfast::testing::run_process;
using holdfast::testing::wait_for;
using nlohmann::json;

class ls_command : public command_test {
  protected:
    void hold(const words& options, const std::string& name) {
        auto how = surroundings();
        how.out = holdfast::testing::redirect::pipe();
        words arguments{"run"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        arguments.insert(arguments.end(), {name, "sh", "-c", "echo up; exec sleep 100"});
        holders_.push_back(std::make_unique<child_process>(holdfast(arguments), how));
        ASSERT_EQ(holders_.back()->read_line(bound), "up");
    }

    std::vector<std::unique_ptr<child_process>> holders_;
};

TEST_F(ls_command, says_so_when_nothing_is_held) {
    const auto done = run({"ls"});
    EXPECT_EQ(done.status.code, 0);
    EXPECT_EQ(done.out, "");
    EXPECT_EQ(done.err, "holdfast: nobody holds or waits for anything in " + url() + "\n");
    EXPECT_EQ(run({"ls", "-q"}).err, "");
    EXPECT_EQ(json::parse(run({"ls", "--json"}).out)["resources"], json::array());
}

TEST_F(ls_command, shows_that_a_hold_without_lease_lasts_until_death) {
    hold({"--ttl", "until-death"}, "nightly");
    EXPECT_NE(run({"ls"}).out.find("until death"), std::string::npos) << run({"ls"}).out;
    const json claim = json::parse(run({"ls", "--json"}).out)["resources"][0]["claims"][0];
    EXPECT_EQ(claim["state"], "live");
    EXPECT_TRUE(claim["ttl_left_ms"].is_null());
    holders_.front()->kill(); // And the guard ends the command, which ends the hold.
    EXPECT_EQ(run({"run", "-w", "20", "nightly", "true"}).status.code, 0);
}

TEST_F(ls_command, shows_holders_waiters_and_why_as_json) {
    hold({"--why", "the reason"}, "nightly");
    hold({"--slots", "3"}, std::string("p\xff"));
    child_process waiting(holdfast({"run", "nightly", "true"}), surroundings());
    json out;
    ASSERT_TRUE(wait_for(
        [&] {
            out = json::parse(run({"ls", "--json"}).out);
            return out["resources"].size() == 2 && out["resources"][0]["claims"].size() == 2;
        },
        bound));
    EXPECT_EQ(out["engine"], "local");
    EXPECT_EQ(out["url"], url());
    const json& lock = out["resources"][0];
    EXPECT_EQ(lock["name"], "nightly");
    EXPECT_EQ(lock["kind"], "lock");
    const json& holder = lock["claims"][0];
    EXPECT_EQ(holder["holds"], true);
    EXPECT_EQ(holder["state"], "live");
    EXPECT_EQ(holder["mode"], "exclusive");
    EXPECT_EQ(holder["why"], "the reason");
    EXPECT_EQ(holder["pid"], holders_[0]->pid());
    EXPECT_EQ(holder["command"], "sh -c echo up; exec sleep 100");
    EXPECT_GT(std::stoull(holder["token"].get<std::string>()), 0U);
    EXPECT_EQ(lock["claims"][1]["holds"], false);
    EXPECT_EQ(lock["claims"][1]["pid"], waiting.pid());
    const json& permits = out["resources"][1];
    EXPECT_EQ(permits["kind"], "permits");
    EXPECT_EQ(permits["capacity"], 3);
    EXPECT_EQ(permits["name_b64"], "cP8=");
    EXPECT_EQ(permits["claims"][0]["permits"], 1);
}

TEST_F(ls_command, shows_a_table_to_people) {
    hold({}, "nightly");
    const auto done = run({"ls"});
    EXPECT_EQ(done.out.substr(0, done.out.find("STATE")), "NAME     KIND  ");
    EXPECT_NE(done.out.find("\nnightly  lock  live   "), std::string::npos) << done.out;
    EXPECT_EQ(done.out.find('\033'), std::string::npos) << "no colours into a pipe";
    EXPECT_NE(run({"ls", "--color", "always"}).out.find("\033[32mlive"), std::string::npos);
    EXPECT_EQ(run({"ls", "--plain"}).out.substr(0, 18), "nightly\tlock\tlive\t");
}

TEST_F(ls_command, tells_since_when_a_name_that_was_free_is_held) {
    hold({}, "nightly");
    const json out = json::parse(run({"ls", "--json"}).out);
    EXPECT_TRUE(out["resources"][0]["claims"][0]["since"].is_string()) << out;
    EXPECT_NE(run({"ls"}).out.find(" ago  "), std::string::npos) << run({"ls"}).out;
}

TEST_F(ls_command, shows_as_stale_what_was_not_renewed) {
    hold({"--ttl", "1s"}, "old");
    hold({}, "young");
    holders_[0]->signal(SIGSTOP);
    const auto state = [this] {
        return json::parse(run({"show", "--json", "old"}).out)["resource"]["claims"][0]["state"];
    };
    ASSERT_TRUE(wait_for([&] { return state() == "stale"; }, bound));
    const std::string stale = run({"ls", "--stale", "--plain"}).out;
    EXPECT_EQ(stale.substr(0, 15), "old\tlock\tstale\t") << stale;
    EXPECT_EQ(stale.find("young"), std::string::npos) << stale;
    EXPECT_NE(run({"show", "--color", "always", "old"}).out.find("\033[31mstale"), std::string::npos);
    const std::string sorted = run({"ls", "--plain", "--sort", "state"}).out;
    EXPECT_LT(sorted.find("old\t"), sorted.find("young\t")) << sorted;
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    child_process watching(holdfast({"watch", "--json", "--stale", "--every", "20ms"}), how);
    const auto line = watching.read_line(bound);
    ASSERT_TRUE(line);
    EXPECT_EQ(json::parse(*line)["name"], "old");
}

TEST_F(ls_command, refuses_wrong_usage_and_a_bad_store) {
    EXPECT_EQ(code({"ls", "name"}), 64);
    EXPECT_EQ(code({"ls", "--sort", "size"}), 64);
    EXPECT_EQ(code({"ls", "--url", "local:relative"}), 78);
}

TEST_F(ls_command, tells_when_its_output_cannot_be_written) {
    hold({}, "nightly");
    const auto done =
        run_process({"sh", "-c", std::string(HOLDFAST_PROGRAM) + " ls > /dev/full"}, bound, surroundings());
    EXPECT_EQ(done.status.code, 70);
}

TEST_F(ls_command, version_and_help_go_to_stdout) {
    EXPECT_EQ(run({"version"}).out.substr(0, 9), "holdfast ");
    EXPECT_EQ(run({"--version"}).out, run({"version"}).out);
    EXPECT_TRUE(json::parse(run({"version", "--json"}).out).contains("version"));
    for (const words& asked : {words{"--help"}, words{"run", "--help"}, words{"ls", "-h"}}) {
        const auto done = run(asked);
        EXPECT_EQ(done.status.code, 0);
        EXPECT_EQ(done.out.substr(0, 16), "Usage: holdfast ");
        EXPECT_EQ(done.err, "");
    }
}

} // namespace
} // namespace holdfast::cli
