// One etcd for the tests of this program, connections to it, and a look at it from outside through etcdctl.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "contract/world.hpp"
#include "support/servers.hpp"
#include "support/wait_for.hpp"

namespace holdfast::etcd::testing {

using namespace std::chrono_literals;
using holdfast::testing::child_process;
using holdfast::testing::etcd_server;
using holdfast::testing::member;
using holdfast::testing::recorded_claim;
using holdfast::testing::wait_for;

/// A store for this URL, not checked.
std::unique_ptr<store> make_store(const std::string& url, std::chrono::nanoseconds op_timeout = 5s);

/// Connections to one server, as the contract suite's tools take them.
class server_world final : public holdfast::testing::world {
  public:
    explicit server_world(std::string url, std::chrono::nanoseconds op_timeout = 5s)
        : url_(std::move(url)), op_timeout_(op_timeout) {}
    std::unique_ptr<store> connect() override;
    std::string url() const override { return url_; }
    std::chrono::nanoseconds short_ttl() const override { return 1s; }

  private:
    std::string url_;
    std::chrono::nanoseconds op_timeout_;
};

/// What etcdctl says; fails the test where it fails.
std::string etcdctl(const etcd_server& server, std::vector<std::string> args);
/// Throws all history away that is older than now.
void compact(const etcd_server& server);
/// Full keys with this prefix, by key.
std::vector<std::string> keys_below(const etcd_server& server, const std::string& prefix);
/// A number from the server's /metrics; the line starts with this text.
double metric(const etcd_server& server, const std::string& line);

/// The instant this much later.
inline instant in(std::chrono::nanoseconds time) {
    return now(clock_source::boottime) + time;
}

/// The server that most tests share.
class one_server : public ::testing::Test {
  protected:
    static etcd_server& server();
    server_world& here() { return world_; }
    /// A name of this test's own.
    std::string fresh(const std::string& stem = "name") const;

  private:
    server_world world_{server().url()};
};

} // namespace holdfast::etcd::testing
