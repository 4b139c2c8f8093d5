#pragma once
// Three etcd members on loopback ports, each of which can be killed, stopped and started by itself.
//
// The rules of support/servers.hpp hold: the constructor returns when all members serve, everything is gone
// with the object, and one thread uses it.

#include "support/servers.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::testing {

/// One member. It serves only while most of its cluster do: launch() those, then await() each.
class etcd_member final : public server_process {
  public:
    explicit etcd_member(std::string name);
    ~etcd_member() override;

    [[nodiscard]] std::string endpoint() const; ///< 127.0.0.1:PORT
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] std::string peer_url() const;

    void choose_ports() override;
    /// All members as etcd's --initial-cluster takes them.
    void joins(std::string cluster) { cluster_ = std::move(cluster); }

  private:
    std::vector<std::string> command() const override;
    bool answers() const override;

    std::string name_;
    std::string cluster_;
    std::uint16_t peer_port_ = 0;
};

class etcd_cluster {
  public:
    static constexpr std::size_t size = 3;

    /// Throws std::runtime_error when it does not serve within half a minute a member.
    etcd_cluster();

    [[nodiscard]] etcd_member& member(std::size_t number) { return *members_.at(number); }
    /// Who leads, asked of the members that run and are not stopped; nothing while there is none.
    [[nodiscard]] std::optional<std::size_t> leader();
    /// The same, waited for. Throws std::runtime_error after 30 s.
    [[nodiscard]] std::size_t await_leader();
    /// Starts what is down and wakes what is stopped; returns once every member serves.
    void start();

    /// What etcdctl says when it may ask any member, as the user root with the password `rootpw` where
    /// authentication is on. Throws std::runtime_error where it fails or takes more than 20 s.
    std::string ctl(std::vector<std::string> args);

  private:
    bool try_first_start();
    void await_all();

    std::array<std::unique_ptr<etcd_member>, size> members_;
};

} // namespace holdfast::testing
