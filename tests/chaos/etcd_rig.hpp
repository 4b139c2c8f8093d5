// Three etcd members, three clients' ways to them that can fail, and the troubles it may have: members that
// die, hang, are cut off or lose their office; connections that break; compaction, authentication, revoked
// leases.
#pragma once

#include <array>
#include <memory>

#include "rig.hpp"

#include "support/etcd_cluster.hpp"
#include "support/tcp_proxy.hpp"

namespace holdfast::chaos {

class etcd_rig final : public rig {
  public:
    etcd_rig();

    std::vector<std::string> urls() const override;
    const std::vector<trouble>& troubles() const override { return troubles_; }
    std::vector<std::string> left_behind() override;

    /// The one of this name. Throws std::out_of_range.
    const trouble& named(const std::string& name) const;
    testing::etcd_cluster& cluster() noexcept { return cluster_; }
    /// All ways of one client, by member.
    using ways = std::array<std::unique_ptr<testing::tcp_proxy>, testing::etcd_cluster::size>;
    const ways& network_of(std::size_t client) const { return networks_.at(client); }
    static constexpr std::size_t clients = 3;

  private:
    void members();
    void networks();
    void administrators();
    using fault_maker = std::function<testing::network_fault(sim::dice&)>;
    void add(const std::string& name, std::function<void(sim::dice&)> begin);
    void on_one_member(const std::string& name, fault_maker fault);
    void on_all(const std::string& name, fault_maker fault);
    void for_each_way(const std::function<void(testing::tcp_proxy&)>& what);
    void heal_networks();
    void compact();
    void revoke_a_lease(sim::dice& dice);
    void switch_authentication();

    testing::etcd_cluster cluster_;
    std::array<ways, clients> networks_;
    std::vector<trouble> troubles_;
    bool authenticates_ = false;
};

} // namespace holdfast::chaos
