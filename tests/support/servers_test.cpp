#include "support/etcd_cluster.hpp"
#include "support/servers.hpp"
#include "support/wait_for.hpp"

#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdexcept>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

std::string redis_says(const redis_server& server, std::vector<std::string> words) {
    words.insert(words.begin(), {"redis-cli", "-p", std::to_string(server.port())});
    return run_process(words, 10s).out;
}

std::string etcd_says(const etcd_server& server, std::vector<std::string> words) {
    words.insert(words.begin(), {"etcdctl", "--endpoints", server.endpoint()});
    process_options options;
    options.env = {{"ETCDCTL_API", "3"}};
    return run_process(words, 20s, options).out;
}

std::string postgres_says(const postgres_server& server, const std::string& query) {
    return run_process({"psql", "-Atc", query, server.conninfo()}, 20s).out;
}

TEST(redis_server, serves_restarts_and_leaves_nothing_behind) {
    pid_t pid = 0;
    std::filesystem::path folder;
    {
        redis_server server;
        folder = server.folder();
        EXPECT_EQ(redis_says(server, {"SET", "k", "v"}), "OK\n");
        EXPECT_TRUE(std::filesystem::is_socket(server.socket_path()));
        const auto port = server.port();
        server.kill();
        EXPECT_FALSE(server.running());
        server.start();
        EXPECT_EQ(server.port(), port);
        EXPECT_EQ(redis_says(server, {"GET", "k"}), "\n") << "nothing is saved";
        server.restart();
        EXPECT_EQ(redis_says(server, {"PING"}), "PONG\n");
        pid = server.pid();
    }
    EXPECT_TRUE(is_gone(pid));
    EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST(redis_server, takes_arguments_of_the_test) {
    redis_server server({"--requirepass", "secret", "--maxclients", "7"});
    EXPECT_THAT(redis_says(server, {"-a", "secret", "--no-auth-warning", "CONFIG", "GET", "maxclients"}),
                HasSubstr("7"));
}

TEST(redis_server, can_be_paused_and_stops_all_the_same) {
    redis_server server;
    const auto pid = server.pid();
    server.signal(SIGSTOP);
    EXPECT_TRUE(server.running());
    server.stop();
    EXPECT_TRUE(is_gone(pid));
    EXPECT_THROW(server.signal(SIGCONT), std::runtime_error);
}

TEST(redis_server, a_failed_start_shows_the_end_of_the_log) {
    try {
        redis_server server({"--no-such-option", "1"});
        FAIL() << "it started";
    } catch (const std::runtime_error& failure) {
        EXPECT_THAT(failure.what(), HasSubstr("no-such-option"));
    }
}

TEST(etcd_server, serves_keeps_its_data_and_leaves_nothing_behind) {
    pid_t pid = 0;
    {
        etcd_server server;
        EXPECT_EQ(etcd_says(server, {"put", "k", "v"}), "OK\n");
        server.restart();
        EXPECT_EQ(etcd_says(server, {"get", "--print-value-only", "k"}), "v\n");
        pid = server.pid();
    }
    EXPECT_TRUE(is_gone(pid));
}

TEST(etcd_cluster, members_come_and_go_one_by_one_and_leave_nothing_behind) {
    std::vector<pid_t> pids;
    {
        etcd_cluster cluster;
        const auto first = cluster.await_leader();
        cluster.ctl({"put", "k", "v"});
        cluster.member(first).kill();
        std::size_t second = first;
        ASSERT_TRUE(wait_for([&] { return (second = cluster.leader().value_or(first)) != first; }, 30s));
        EXPECT_EQ(cluster.ctl({"get", "--print-value-only", "k"}), "v\n") << "two of three serve";
        cluster.member(second).freeze();
        EXPECT_FALSE(cluster.leader()) << "one alone does not";
        cluster.start();
        EXPECT_EQ(cluster.ctl({"get", "--print-value-only", "k"}), "v\n");
        for (std::size_t i = 0; i < etcd_cluster::size; ++i) {
            pids.push_back(cluster.member(i).pid());
        }
    }
    for (const pid_t pid : pids) {
        EXPECT_TRUE(is_gone(pid));
    }
}

TEST(postgres_server, serves_with_the_connections_it_was_given) {
    pid_t pid = 0;
    {
        postgres_server server(7);
        EXPECT_EQ(postgres_says(server, "show max_connections"), "7\n");
        server.restart();
        EXPECT_EQ(postgres_says(server, "select 1"), "1\n");
        pid = server.pid();
    }
    EXPECT_TRUE(is_gone(pid));
}

} // namespace
} // namespace holdfast::testing
