#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cli/json.hpp"
#include "cli/run_report.hpp"
#include "cli/table.hpp"
#include "cli/waiting_notice.hpp"

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

const std::chrono::system_clock::time_point present{1'700'000'000s};

claim_status holder(std::uint32_t weight = lock_capacity) {
    claim_status claim;
    claim.id = "c1";
    claim.holds = true;
    claim.weight = weight;
    claim.token = 9'007'199'254'740'993;
    claim.who = holder_info{.user = "ann", .host = "db1", .pid = 42, .command = "job.sh", .why = "nightly"};
    claim.since = present - 90s;
    claim.ttl_left = 7s;
    return claim;
}

claim_status waiter() {
    claim_status claim = holder();
    claim.holds = false;
    claim.token = 0;
    return claim;
}

resource_status resource(std::string name, std::uint32_t capacity, std::vector<claim_status> claims) {
    return {std::move(name), capacity, std::move(claims)};
}

TEST(table, is_aligned_and_counts_who_waits) {
    EXPECT_EQ(
        render_table({resource("nightly", lock_capacity, {holder(), waiter(), waiter()})}, present, {}),
        "NAME     KIND  STATE  WHO                          SINCE       TOKEN             TTL  WAITERS\n"
        "nightly  lock  live   ann@db1:42 job.sh (nightly)  1m 30s ago  9007199254740993  7s   2\n");
}

TEST(table, shows_every_holder_of_permits) {
    const std::string text =
        render_table({resource("pool", 5, {holder(2), holder(1)})}, present, {.aligned = false});
    EXPECT_EQ(text,
              "pool\tpermits 3/5\tlive\tann@db1:42 job.sh (nightly)\t1m 30s ago\t9007199254740993\t7s\t0\n"
              "pool\tpermits 3/5\tlive\tann@db1:42 job.sh (nightly)\t1m 30s ago\t9007199254740993\t7s\t-\n");
}

TEST(table, colours_states_and_obeys_no_name) {
    claim_status foreign;
    foreign.id = "x\x1b[0m";
    foreign.holds = true;
    foreign.foreign = true;
    const std::string text =
        render_table({resource("a\nb", lock_capacity, {foreign})}, present, {.colors = true});
    EXPECT_NE(text.find("\033[33mforeign\033[0m"), std::string::npos);
    EXPECT_NE(text.find("a\\x0ab"), std::string::npos);
    EXPECT_NE(text.find("x\\x1b[0m"), std::string::npos);
}

TEST(table, names_a_candidate_of_whom_only_the_proposal_is_known) {
    claim_status candidate;
    candidate.id = "694d-1";
    candidate.proposal = "db1:80\n";
    EXPECT_EQ(describe_who(candidate), "candidate db1:80\\x0a");
    candidate.who = holder_info{.user = "ann", .host = "db1", .pid = 42, .command = "", .why = ""};
    EXPECT_EQ(describe_who(candidate), "ann@db1:42");
}

TEST(table, sorts_by_name_state_and_age) {
    claim_status stale = holder();
    stale.stale = true;
    stale.since = present - 1s;
    std::vector<resource_status> all{resource("b", lock_capacity, {holder()}),
                                     resource("c", lock_capacity, {stale}),
                                     resource("a", lock_capacity, {waiter()})};
    all[2].claims[0].since = present - 2h;
    const auto names = [&all] { return all[0].name + all[1].name + all[2].name; };
    sort_resources(all, ls_order::name);
    EXPECT_EQ(names(), "abc");
    sort_resources(all, ls_order::state);
    EXPECT_EQ(names(), "cab");
    sort_resources(all, ls_order::since);
    EXPECT_EQ(names(), "abc");
}

TEST(json_output, keeps_what_numbers_and_text_would_lose) {
    const store_traits traits{.engine = "local", .gives = level::fenced, .why = {}};
    claim_status stale = holder(2);
    stale.stale = true;
    const json out = json::parse(
        list_json("local:/a", traits,
                  {resource("n", lock_capacity, {holder(), waiter()}), resource("p\xff", 5, {stale})}));
    EXPECT_EQ(out["url"], "local:/a");
    EXPECT_EQ(out["engine"], "local");
    EXPECT_EQ(out["level"], "fenced");
    const json& lock = out["resources"][0];
    EXPECT_EQ(lock["kind"], "lock");
    EXPECT_EQ(lock["capacity"], 1);
    EXPECT_FALSE(lock.contains("name_b64"));
    EXPECT_EQ(lock["claims"][0]["token"], "9007199254740993");
    EXPECT_EQ(lock["claims"][0]["mode"], "exclusive");
    EXPECT_EQ(lock["claims"][0]["since"], "2023-11-14T22:11:50.000Z");
    EXPECT_EQ(lock["claims"][0]["ttl_left_ms"], 7000);
    EXPECT_EQ(lock["claims"][1]["holds"], false);
    EXPECT_TRUE(lock["claims"][1]["token"].is_null());
    const json& permits = out["resources"][1];
    EXPECT_EQ(permits["kind"], "permits");
    EXPECT_EQ(permits["capacity"], 5);
    EXPECT_EQ(permits["name_b64"], "cP8=");
    EXPECT_EQ(permits["claims"][0]["permits"], 2);
    EXPECT_EQ(permits["claims"][0]["state"], "stale");
}

TEST(json_output, of_an_unknown_holder_is_null_not_missing) {
    claim_status foreign;
    foreign.holds = true;
    foreign.foreign = true;
    const json out = json::parse(list_json("local:", {}, {resource("n", lock_capacity, {foreign})}));
    const json& claim = out["resources"][0]["claims"][0];
    for (const char* key : {"token", "user", "host", "pid", "command", "why", "since", "ttl_left_ms"}) {
        ASSERT_TRUE(claim.contains(key)) << key;
        EXPECT_TRUE(claim[key].is_null()) << key;
    }
    EXPECT_EQ(claim["state"], "foreign");
    EXPECT_EQ(claim["mode"], "exclusive");
}

TEST(report, is_one_line_of_json) {
    run_report report;
    report.outcome = "lost";
    report.exit = 79;
    report.signal = 15;
    report.token = 7;
    report.waited = 1500ms;
    report.reason = "line\nbreak";
    const std::string line = report_line(report);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    const json out = json::parse(line);
    EXPECT_EQ(out["outcome"], "lost");
    EXPECT_EQ(out["exit"], 79);
    EXPECT_EQ(out["signal"], 15);
    EXPECT_EQ(out["token"], "7");
    EXPECT_EQ(out["waited_ms"], 1500);
    EXPECT_EQ(out["reason"], "line\nbreak");
}

TEST(waiting, says_who_holds_and_how_many_wait) {
    const resource_status line = resource("n", lock_capacity, {holder(), waiter(), waiter()});
    EXPECT_EQ(describe_holders("n", &line, present),
              "waiting for 'n', held by ann@db1:42 job.sh (nightly) for 1m 30s (2 in line, with this one)");
    EXPECT_EQ(describe_holders("n", nullptr, present), "waiting for 'n'");
}

} // namespace
} // namespace holdfast::cli
