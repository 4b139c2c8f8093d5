#include "support/etcd_cluster.hpp"

#include "support/ports.hpp"
#include "support/wait_for.hpp"

#include <filesystem>
#include <stdexcept>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

process_options third_api() {
    process_options options;
    options.env = {{"ETCDCTL_API", "3"}};
    return options;
}

const std::string root_user = "root:rootpw";

} // namespace

etcd_member::etcd_member(std::string name)
    : server_process("etcd-" + name, "ready to serve client requests", SIGTERM), name_(std::move(name)) {}

etcd_member::~etcd_member() {
    kill(); // Its data goes too: there is nothing to say goodbye for.
}

std::string etcd_member::endpoint() const {
    return "127.0.0.1:" + std::to_string(port());
}

std::string etcd_member::peer_url() const {
    return "http://127.0.0.1:" + std::to_string(peer_port_);
}

void etcd_member::choose_ports() {
    server_process::choose_ports();
    do {
        peer_port_ = free_port();
    } while (peer_port_ == port());
}

std::vector<std::string> etcd_member::command() const {
    const auto client = "http://" + endpoint();
    return {"etcd",
            "--name",
            name_,
            "--data-dir",
            (folder() / "data").string(),
            "--listen-client-urls",
            client,
            "--advertise-client-urls",
            client,
            "--listen-peer-urls",
            peer_url(),
            "--initial-advertise-peer-urls",
            peer_url(),
            "--initial-cluster",
            cluster_,
            "--initial-cluster-token",
            cluster_, // Members of two clusters that met on one port would refuse each other.
            "--unsafe-no-fsync"};
}

bool etcd_member::answers() const {
    return etcd_answers(port());
}

etcd_cluster::etcd_cluster() {
    for (std::size_t i = 0; i < size; ++i) {
        members_[i] = std::make_unique<etcd_member>("m" + std::to_string(i));
    }
    constexpr int attempts = 4;
    for (int attempt = 1; !try_first_start(); ++attempt) {
        if (attempt == attempts) {
            throw std::runtime_error("no free ports for an etcd cluster");
        }
    }
}

/// False when somebody took one of its ports.
bool etcd_cluster::try_first_start() {
    std::string all;
    for (const auto& one : members_) {
        one->choose_ports();
        std::filesystem::remove_all(one->folder() / "data");
        all += (all.empty() ? "" : ",") + one->name() + "=" + one->peer_url();
    }
    for (const auto& one : members_) {
        one->joins(all);
        one->launch();
    }
    try {
        await_all();
        return true;
    } catch (const std::runtime_error& failure) {
        for (const auto& one : members_) {
            one->kill();
        }
        if (std::string_view(failure.what()).find("ddress already in use") == std::string_view::npos) {
            throw;
        }
        return false;
    }
}

void etcd_cluster::await_all() {
    for (const auto& one : members_) {
        one->await();
    }
}

void etcd_cluster::start() {
    for (const auto& one : members_) {
        if (one->running()) {
            one->thaw();
        }
        one->launch();
    }
    await_all();
}

std::optional<std::size_t> etcd_cluster::leader() {
    for (std::size_t i = 0; i < size; ++i) {
        if (!members_[i]->running()) {
            continue;
        }
        const auto said = run_process({"etcdctl", "--endpoints", members_[i]->endpoint(), "--command-timeout",
                                       "1s", "--dial-timeout", "1s", "endpoint", "status"},
                                      10s, third_api());
        // ENDPOINT, ID, VERSION, DB SIZE, IS LEADER, ...
        std::size_t at = 0;
        for (int field = 0; field < 4 && at != std::string::npos; ++field) {
            at = said.out.find(", ", at == 0 ? 0 : at + 2);
        }
        if (at != std::string::npos && said.out.compare(at + 2, 4, "true") == 0) {
            return i;
        }
    }
    return {};
}

std::size_t etcd_cluster::await_leader() {
    std::optional<std::size_t> found;
    if (!wait_for([&] { return (found = leader()).has_value(); }, 30s)) {
        throw std::runtime_error("the etcd cluster has no leader");
    }
    return *found;
}

std::string etcd_cluster::ctl(std::vector<std::string> args) {
    std::string endpoints;
    for (const auto& one : members_) {
        if (one->running()) {
            endpoints += (endpoints.empty() ? "" : ",") + one->endpoint();
        }
    }
    std::vector<std::string> argv{"etcdctl", "--endpoints", endpoints, "--user", root_user};
    argv.insert(argv.end(), args.begin(), args.end());
    auto done = run_process(argv, 20s, third_api());
    if (!done.status.ok()) {
        throw std::runtime_error("etcdctl " + (args.empty() ? "" : args.front()) + " failed: " + done.err);
    }
    return done.out;
}

} // namespace holdfast::testing
