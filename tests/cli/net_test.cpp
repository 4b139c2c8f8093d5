// The network stores through the command: it becomes holdfast-net, and nothing else changes.
#include "command.hpp"

#include <algorithm>
#include <csignal>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "support/ports.hpp"
#include "support/sanitizers.hpp"
#include "support/servers.hpp"
#include "support/wait_for.hpp"

namespace holdfast::cli {
namespace {

using holdfast::testing::child_process;
using holdfast::testing::etcd_server;
using holdfast::testing::redis_server;
using holdfast::testing::run_process;
using holdfast::testing::wait_for;
using nlohmann::json;

class network_command : public command_test {
  protected:
    void does_what_run_does(const std::string& store) {
        EXPECT_EQ(code({"run", "--url", store, "n", "sh", "-c", "exit 7"}), 7);
        const auto done = run({"run", "--url", store, "n", "sh", "-c", "echo $HOLDFAST_TOKEN $HOLDFAST_URL"});
        EXPECT_GT(std::stoull(done.out), 0U) << done.err;
        EXPECT_NE(done.out.find(store), std::string::npos) << done.out;

        auto how = surroundings();
        how.out = holdfast::testing::redirect::pipe();
        child_process holder(holdfast({"run", "--url", store, "n", "sh", "-c", "echo up; exec sleep 100"}),
                             how);
        ASSERT_EQ(holder.read_line(bound), "up");
        EXPECT_EQ(code({"run", "--url", store, "-n", "n", "true"}), 75);
        EXPECT_EQ(code({"run", "--url", store, "-w", "0.2", "n", "true"}), 75);
        EXPECT_EQ(code({"run", "--url", store, "--slots", "2", "n", "true"}), 64);
        const json listed = json::parse(run({"ls", "--json", "--url", store}).out);
        ASSERT_EQ(listed["resources"].size(), 1U);
        EXPECT_EQ(listed["resources"][0]["name"], "n");
        EXPECT_EQ(listed["resources"][0]["claims"][0]["pid"], holder.pid());

        child_process waiting(holdfast({"run", "--url", store, "n", "sh", "-c", "exit 5"}), surroundings());
        ASSERT_TRUE(wait_for(
            [&] {
                return run({"ls", "--json", "--url", store}).out.find("\"holds\": false") !=
                       std::string::npos;
            },
            bound));
        holder.signal(SIGTERM);
        const auto status = waiting.wait(bound);
        ASSERT_TRUE(status);
        EXPECT_EQ(status->code, 5);
        EXPECT_EQ(code({"run", "--url", store, "n", HOLDFAST_PROGRAM, "run", "--url", store, "n", "true"}),
                  64);
    }

    std::unique_ptr<child_process> start(const words& arguments) {
        auto how = surroundings();
        how.out = holdfast::testing::redirect::pipe();
        return std::make_unique<child_process>(holdfast(arguments), how);
    }

    json shown(const std::string& store, const std::string& name) {
        return json::parse(run({"show", "--json", "--url", store, name}).out)["resource"];
    }

    void lets_administrators_look_and_change(const std::string& store) {
        auto holder = start({"run", "--url", store, "adm", "sh", "-c", "echo up; exec sleep 100"});
        ASSERT_EQ(holder->read_line(bound), "up");
        auto next = start({"run", "--url", store, "adm", "sh", "-c", "echo up; exec sleep 100"});
        ASSERT_TRUE(wait_for([&] { return shown(store, "adm")["claims"].size() == 2; }, bound));
        const json line = shown(store, "adm");
        EXPECT_EQ(line["claims"][0]["pid"], holder->pid()) << line;
        EXPECT_EQ(line["claims"][1]["pid"], next->pid()) << line;
        EXPECT_NE(run({"show", "--url", store, "adm"}).out.find("adm: lock, 1 holding, 1 waiting"),
                  std::string::npos);
        const auto broken = run({"break", "--yes", "--json", "--url", store, "--if-token",
                                 line["claims"][0]["token"].get<std::string>(), "adm"});
        EXPECT_EQ(json::parse(broken.out)["broken"], 1) << broken.err;
        EXPECT_EQ(next->read_line(bound), "up");
        const auto status = holder->wait(bound);
        ASSERT_TRUE(status);
        EXPECT_EQ(status->code, 79);

        auto first =
            start({"run", "--url", store, "--slots", "1", "pool", "sh", "-c", "echo up; exec sleep 100"});
        ASSERT_EQ(first->read_line(bound), "up");
        const auto resized = run({"resize", "--url", store, "pool", "2"});
        EXPECT_EQ(resized.status.code, 0) << resized.err;
        EXPECT_EQ(code({"run", "--url", store, "-n", "--slots", "2", "pool", "true"}), 0);
        EXPECT_EQ(code({"run", "--url", store, "-n", "--slots", "1", "pool", "true"}), 64);

        const auto looked = run({"doctor", "--json", "--url", store});
        EXPECT_EQ(looked.status.code, 0) << looked.out;
        const json findings = json::parse(looked.out)["findings"];
        EXPECT_GE(findings.size(), 2U) << looked.out;
        EXPECT_EQ(std::count_if(findings.begin(), findings.end(),
                                [](const json& each) { return each["what"] == "level"; }),
                  1)
            << looked.out;
    }

    void shares_and_excludes(const std::string& store) {
        auto reader = start({"run", "--url", store, "-s", "rw", "sh", "-c", "echo up; exec sleep 100"});
        ASSERT_EQ(reader->read_line(bound), "up");
        EXPECT_EQ(code({"run", "--url", store, "-n", "-s", "rw", "true"}), 0);
        EXPECT_EQ(code({"run", "--url", store, "-n", "-x", "rw", "true"}), 75);
        EXPECT_EQ(shown(store, "rw")["claims"][0]["mode"], "shared");
    }

    void elects_one_and_tells_the_others(const std::string& store) {
        auto observer = start({"elect", "--observe", "--json", "--url", store, "el"});
        const auto seen = [&observer] {
            const auto line = observer->read_line(bound);
            return line ? json::parse(*line) : json();
        };
        EXPECT_TRUE(seen()["leader"].is_null());
        const words command{"sh", "-c", "echo $HOLDFAST_TOKEN; exec sleep 100"};
        words arguments{"elect", "--url", store, "--proposal", "one:1", "el"};
        arguments.insert(arguments.end(), command.begin(), command.end());
        auto one = start(arguments);
        const auto token = one->read_line(bound);
        ASSERT_TRUE(token);
        json leader = seen()["leader"];
        EXPECT_EQ(leader["proposal"], "one:1");
        EXPECT_EQ(leader["token"], *token);
        arguments[4] = "two:2";
        auto two = start(arguments);
        ASSERT_TRUE(wait_for([&] { return shown(store, "el")["claims"].size() == 2; }, bound));
        EXPECT_EQ(shown(store, "el")["claims"][0]["proposal"], "one:1");
        one->signal(SIGTERM);
        EXPECT_TRUE(two->read_line(bound));
        do {
            leader = seen()["leader"];
        } while (leader.is_null() && observer->running());
        EXPECT_EQ(leader["proposal"], "two:2");
        EXPECT_EQ(code({"break", "--yes", "--url", store, "el"}), 0);
        const auto status = two->wait(bound);
        ASSERT_TRUE(status);
        EXPECT_EQ(status->code, 79) << "the leadership was lost";
    }

    void starts_the_command_as_clean_as_on_this_machine(const std::string& store) {
        auto how = surroundings();
        how.input = "hello";
        EXPECT_EQ(run_process(holdfast({"run", "--url", store, "n", "cat"}), bound, how).out, "hello");
        EXPECT_EQ(run({"run", "--url", store, "n", "printf", "%s|", "-n", "--url=x", "--", ""}).out,
                  "-n|--url=x|--||");
        EXPECT_EQ(run({"run", "--url", store, "n", "ls", "/proc/self/fd"}).out, "0\n1\n2\n3\n")
            << "3 is the folder that ls reads";
        const words signals{"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"};
        words arguments{"run", "--url", store, "n"};
        arguments.insert(arguments.end(), signals.begin(), signals.end());
        EXPECT_EQ(run(arguments).out, run_process(signals, bound, surroundings()).out);
        const std::string variables =
            run({"run", "--url", store, "--ttl", "4s", "n", "sh", "-c", "env | grep -E '^(HOLDFAST|ETCD)_'"})
                .out;
        EXPECT_NE(variables.find("HOLDFAST_NAME=n\n"), std::string::npos) << variables;
        EXPECT_NE(variables.find("HOLDFAST_TTL_MS=4000\n"), std::string::npos) << variables;
        EXPECT_EQ(variables.find("ETCD_LOCK_KEY=") != std::string::npos, store.starts_with("etcd"));
    }

    void tells_of_a_store_that_stops_answering_while_it_waits(const std::string& store,
                                                              const std::function<void()>& stop) {
        auto holder = start({"run", "--url", store, "n", "sh", "-c", "echo up; exec sleep 100"});
        ASSERT_EQ(holder->read_line(bound), "up");
        child_process waiting(
            holdfast({"run", "--url", store, "--ttl", "2s", "--timeout", "1s", "n", "true"}), surroundings());
        ASSERT_TRUE(wait_for([&] { return shown(store, "n")["claims"].size() == 2; }, bound));
        stop();
        const auto status = waiting.wait(bound);
        ASSERT_TRUE(status);
        EXPECT_EQ(status->code, 69);
    }

    void ends_the_command_when_the_server_is_gone(const std::string& store,
                                                  const std::function<void()>& stop) {
        auto how = surroundings();
        how.out = holdfast::testing::redirect::pipe();
        child_process holder(
            holdfast({"run", "--url", store, "--ttl", "2s", "n", "sh", "-c", "echo up; exec sleep 100"}),
            how);
        ASSERT_EQ(holder.read_line(bound), "up");
        stop();
        const auto status = holder.wait(bound);
        ASSERT_TRUE(status);
        EXPECT_EQ(status->code, 79);
    }
};

TEST_F(network_command, works_on_etcd) {
    etcd_server server;
    does_what_run_does(server.url());
    shares_and_excludes(server.url());
    ends_the_command_when_the_server_is_gone(server.url(), [&] { server.signal(SIGSTOP); });
    server.signal(SIGCONT);
}

TEST_F(network_command, works_on_redis) {
    redis_server server;
    does_what_run_does(server.url());
    shares_and_excludes(server.url());
    ends_the_command_when_the_server_is_gone(server.url(), [&] { server.signal(SIGSTOP); });
    server.signal(SIGCONT);
}

TEST_F(network_command, starts_commands_on_etcd_as_on_this_machine) {
    etcd_server server;
    starts_the_command_as_clean_as_on_this_machine(server.url());
}

TEST_F(network_command, starts_commands_on_redis_as_on_this_machine) {
    redis_server server;
    starts_the_command_as_clean_as_on_this_machine(server.url());
}

TEST_F(network_command, waiting_on_etcd_ends_with_69_when_it_stops_answering) {
    etcd_server server;
    tells_of_a_store_that_stops_answering_while_it_waits(server.url(), [&] { server.signal(SIGSTOP); });
    server.signal(SIGCONT);
}

TEST_F(network_command, waiting_on_redis_ends_with_69_when_it_stops_answering) {
    redis_server server;
    tells_of_a_store_that_stops_answering_while_it_waits(server.url(), [&] { server.signal(SIGSTOP); });
    server.signal(SIGCONT);
}

TEST_F(network_command, with_w_goes_on_asking_for_a_store_that_is_down_as_long) {
    redis_server server;
    server.stop();
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_EQ(code({"run", "--url", server.url(), "--timeout", "100ms", "-w", "0.7", "n", "true"}), 69);
    EXPECT_GE(std::chrono::steady_clock::now() - begun, 700ms);
    child_process waiting(
        holdfast({"run", "--url", server.url(), "--timeout", "100ms", "-w", "30", "n", "sh", "-c", "exit 5"}),
        surroundings());
    EXPECT_EQ(code({"run", "--url", server.url(), "--timeout", "100ms", "-w", "0.7", "n", "true"}), 69);
    server.start();
    const auto status = waiting.wait(bound);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->code, 5);
}

TEST_F(network_command, shows_the_holder_of_etcdctl_as_foreign) {
    etcd_server server;
    auto how = surroundings();
    how.out = holdfast::testing::redirect::pipe();
    how.env.emplace_back("ETCDCTL_API", "3");
    how.own_group = true; // etcdctl's child outlives it.
    child_process other({"etcdctl", "--endpoints", server.endpoint(), "lock", "n", "--", "sh", "-c",
                         "echo up; exec sleep 100"},
                        how);
    ASSERT_EQ(other.read_line(bound), "up");
    EXPECT_EQ(code({"run", "--url", server.url(), "-n", "n", "true"}), 75);
    EXPECT_EQ(shown(server.url(), "n")["claims"][0]["state"], "foreign");
    EXPECT_NE(run({"ls", "--url", server.url()}).out.find("  foreign  "), std::string::npos);
}

TEST_F(network_command, shows_the_holder_of_set_nx_as_foreign) {
    redis_server server;
    const words set{"redis-cli", "-p",   std::to_string(server.port()), "SET", "n", "another's", "NX",
                    "PX",        "60000"};
    ASSERT_EQ(run_process(set, bound).out, "OK\n");
    EXPECT_EQ(code({"run", "--url", server.url(), "-n", "n", "true"}), 75);
    EXPECT_EQ(shown(server.url(), "n")["claims"][0]["state"], "foreign");
    auto waiting = start({"run", "--url", server.url(), "n", "true"});
    ASSERT_TRUE(wait_for([&] { return shown(server.url(), "n")["claims"].size() == 2; }, bound));
    EXPECT_NE(run({"ls", "--url", server.url()}).out.find("  foreign  "), std::string::npos)
        << "where somebody of ours stands behind it";
}

#if !defined(HOLDFAST_SANITIZER_NEEDS_DESCRIPTORS)
// The libraries below abort or throw when they get no descriptor.
TEST_F(network_command, says_so_when_no_descriptors_are_left) {
    etcd_server etcd;
    redis_server redis;
    for (const std::string& store : {url(), etcd.url(), redis.url()}) {
        bool refused = false;
        for (const int limit : {6, 7, 8, 10, 16, 24}) {
            const words limited{"sh",
                                "-c",
                                "ulimit -n " + std::to_string(limit) +
                                    R"(; exec "$@" 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-)",
                                "sh",
                                HOLDFAST_PROGRAM,
                                "run",
                                "--url",
                                store,
                                "n",
                                "true"};
            const auto done = run_process(limited, bound, surroundings());
            ASSERT_EQ(done.status.signal, 0) << limit << " on " << store << ": " << done.err;
            if (done.status.code != 0) {
                refused = true;
                EXPECT_TRUE(done.status.code == 69 || done.status.code == 70) << done.status.code << done.err;
                EXPECT_NE(done.err.find("Too many open files"), std::string::npos) << done.err;
            }
        }
        EXPECT_TRUE(refused) << store;
    }
}
#endif

TEST_F(network_command, says_so_where_it_may_not_list_instead_of_showing_nothing) {
    redis_server server;
    const words allow{
        "redis-cli", "-p",   std::to_string(server.port()), "ACL", "SETUSER", "app", "on", ">pw", "~*", "&*",
        "+@all",     "-scan"};
    ASSERT_EQ(run_process(allow, bound).out, "OK\n");
    const std::string store = "redis://app:pw@127.0.0.1:" + std::to_string(server.port());
    EXPECT_EQ(code({"run", "--url", store, "n", "true"}), 0);
    for (const words& asked : {words{"ls"}, words{"ls", "--json"}, words{"watch"}}) {
        words all = asked;
        all.insert(all.end(), {"--url", store});
        const auto refused = run(all);
        EXPECT_EQ(refused.status.code, 77) << refused.err;
        EXPECT_EQ(refused.out, "");
        EXPECT_NE(refused.err.find("scan"), std::string::npos) << refused.err;
    }
}

TEST_F(network_command, administrates_etcd) {
    etcd_server server;
    lets_administrators_look_and_change(server.url());
}

TEST_F(network_command, administrates_redis) {
    redis_server server;
    lets_administrators_look_and_change(server.url());
}

TEST_F(network_command, elects_on_etcd) {
    etcd_server server;
    elects_one_and_tells_the_others(server.url());
}

TEST_F(network_command, elects_on_redis) {
    redis_server server;
    elects_one_and_tells_the_others(server.url());
}

TEST_F(network_command, elects_on_this_machine) {
    elects_one_and_tells_the_others(url());
}

TEST_F(network_command, gives_the_command_on_etcd_what_etcdctl_lock_gives_it) {
    etcd_server server;
    const auto done =
        run({"run", "--url", server.url(), "n", "sh", "-c",
             "ETCDCTL_API=3 etcdctl --endpoints " + server.endpoint() +
                 " get \"$ETCD_LOCK_KEY\" -w fields; echo rev $ETCD_LOCK_REV token $HOLDFAST_TOKEN"});
    const auto at = done.out.rfind("rev "); // The key shows the command, where the word stands too.
    ASSERT_NE(at, std::string::npos) << done.out << done.err;
    const std::string revision = done.out.substr(at + 4, done.out.find(' ', at + 4) - at - 4);
    EXPECT_NE(done.out.find("token " + revision + "\n"), std::string::npos) << done.out;
    EXPECT_NE(done.out.find("\"Key\" : \"n/"), std::string::npos) << done.out;
    EXPECT_NE(done.out.find("\"CreateRevision\" : " + revision + "\n"), std::string::npos) << done.out;
}

TEST_F(network_command, writes_the_status_line_also_when_it_is_interrupted_twice) {
    redis_server server;
    server.signal(SIGSTOP);
    auto how = surroundings();
    how.err = holdfast::testing::redirect::file(file("status"));
    child_process waiting(
        holdfast({"run", "--status-fd", "2", "--timeout", "60s", "--url", server.url(), "n", "true"}), how);
    const std::string id = std::to_string(waiting.pid());
    ASSERT_TRUE(wait_for(
        [&] {
            std::string child;
            return static_cast<bool>(std::ifstream("/proc/" + id + "/task/" + id + "/children") >> child);
        },
        bound))
        << "once it has a guard it listens";
    std::optional<holdfast::testing::exit_status> status;
    ASSERT_TRUE(wait_for(
        [&] {
            waiting.signal(SIGTERM);
            status = waiting.wait(0ms);
            return status.has_value();
        },
        bound));
    server.signal(SIGCONT);
    EXPECT_EQ(status->code, 128 + SIGTERM);
    const json line = json::parse(contents("status"));
    EXPECT_EQ(line["outcome"], "cancelled");
    EXPECT_EQ(line["exit"], 128 + SIGTERM);
    EXPECT_EQ(line["signal"], SIGTERM);
}

TEST_F(network_command, exits_with_69_when_the_server_is_down) {
    const auto port = std::to_string(holdfast::testing::free_port());
    for (const std::string& store : {"etcd://127.0.0.1:" + port, "redis://127.0.0.1:" + port}) {
        const auto refused = run({"run", "--timeout", "500ms", "--url", store, "n", "true"});
        EXPECT_EQ(refused.status.code, 69) << refused.err;
        EXPECT_NE(refused.err.find(port), std::string::npos) << refused.err;
    }
}

TEST_F(network_command, exits_with_77_on_a_wrong_password_and_never_shows_it) {
    redis_server server({"--requirepass", "r1ght-pw"});
    const auto port = std::to_string(server.port());
    const auto refused = run({"run", "--url", "redis://:wr0ng@127.0.0.1:" + port, "n", "true"});
    EXPECT_EQ(refused.status.code, 77) << refused.err;
    EXPECT_EQ(refused.err.find("wr0ng"), std::string::npos) << refused.err;
    EXPECT_EQ(code({"run", "--url", "redis://127.0.0.1:" + port, "n", "true"}), 77);

    const auto allowed = run({"run", "--url", "redis://:r1ght-pw@127.0.0.1:" + port, "n", "env"});
    EXPECT_EQ(allowed.status.code, 0) << allowed.err;
    EXPECT_NE(allowed.out.find("HOLDFAST_URL=redis://127.0.0.1:" + port), std::string::npos);
    EXPECT_EQ(allowed.out.find("r1ght-pw"), std::string::npos) << "the command must not learn the password";
}

} // namespace
} // namespace holdfast::cli
