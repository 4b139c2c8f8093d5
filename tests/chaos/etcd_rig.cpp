#include "etcd_rig.hpp"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "support/wait_for.hpp"

namespace holdfast::chaos {
namespace {

using namespace std::chrono_literals;
using testing::etcd_cluster;
using testing::network_fault;

/// Whoever works has this name from the beginning, so that authentication may be switched on at any time.
constexpr const char* user = "ann:annpw";

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> out;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (!line.empty()) {
            out.push_back(line);
        }
    }
    return out;
}

void nothing() {}

} // namespace

etcd_rig::etcd_rig() {
    for (ways& of_client : networks_) {
        for (std::size_t i = 0; i < etcd_cluster::size; ++i) {
            of_client.at(i) = std::make_unique<testing::tcp_proxy>(cluster_.member(i).port());
        }
    }
    for (const std::string one : {"root:rootpw", user}) {
        cluster_.ctl({"user", "add", one});
    }
    cluster_.ctl({"user", "grant-role", "root", "root"});
    cluster_.ctl({"role", "add", "locks"});
    cluster_.ctl({"role", "grant-permission", "--prefix=true", "locks", "readwrite", ""});
    cluster_.ctl({"user", "grant-role", "ann", "locks"});
    members();
    networks();
    administrators();
}

std::vector<std::string> etcd_rig::urls() const {
    std::vector<std::string> out;
    for (std::size_t client = 0; client < clients; ++client) { // Each begins with another member.
        std::string text = "etcd://" + std::string(user) + "@";
        for (std::size_t i = 0; i < etcd_cluster::size; ++i) {
            const auto& way = networks_.at(client).at((client + i) % etcd_cluster::size);
            text += (i == 0 ? "127.0.0.1:" : ",127.0.0.1:") + std::to_string(way->port());
        }
        out.push_back(text);
    }
    return out;
}

const trouble& etcd_rig::named(const std::string& name) const {
    const auto found = std::ranges::find(troubles_, name, &trouble::name);
    if (found == troubles_.end()) {
        throw std::out_of_range("no trouble is called " + name);
    }
    return *found;
}

void etcd_rig::members() {
    const auto back = [this] { cluster_.start(); };
    troubles_.push_back(
        {"leader_killed", [this](sim::dice&) { cluster_.member(cluster_.await_leader()).kill(); }, back});
    // What the old leader had decided before it was stopped it does after it has woken up, also to leases
    // that were renewed meanwhile: etcd issue 15247, which this server has and later ones do not.
    troubles_.push_back({"leader_stopped",
                         [this](sim::dice&) { cluster_.member(cluster_.await_leader()).freeze(); }, back,
                         true});
    troubles_.push_back(
        {"follower_killed",
         [this](sim::dice& dice) {
             const auto leader = cluster_.await_leader();
             cluster_.member((leader + 1 + dice.below(etcd_cluster::size - 1)) % etcd_cluster::size).kill();
         },
         back});
    troubles_.push_back({"two_of_three_killed",
                         [this](sim::dice& dice) {
                             const auto left = dice.below(etcd_cluster::size);
                             cluster_.member((left + 1) % etcd_cluster::size).kill();
                             cluster_.member((left + 2) % etcd_cluster::size).kill();
                         },
                         back});
    troubles_.push_back(
        {"leader_moved",
         [this](sim::dice& dice) {
             const auto leader = cluster_.await_leader();
             const auto next = (leader + 1 + dice.below(etcd_cluster::size - 1)) % etcd_cluster::size;
             // ID, STATUS, NAME, ...
             for (const std::string& line : lines_of(cluster_.ctl({"member", "list"}))) {
                 if (line.find(", " + cluster_.member(next).name() + ",") != std::string::npos) {
                     cluster_.ctl({"move-leader", line.substr(0, line.find(','))});
                 }
             }
         },
         nothing});
}

void etcd_rig::add(const std::string& name, std::function<void(sim::dice&)> begin) {
    troubles_.push_back({name, std::move(begin), [this] { heal_networks(); }});
}

void etcd_rig::on_one_member(const std::string& name, fault_maker fault) {
    add(name, [this, fault = std::move(fault)](sim::dice& dice) {
        const auto member = dice.below(etcd_cluster::size);
        const network_fault chosen = fault(dice);
        for (const ways& of_client : networks_) {
            of_client.at(member)->set(chosen);
        }
    });
}

void etcd_rig::on_all(const std::string& name, fault_maker fault) {
    add(name, [this, fault = std::move(fault)](sim::dice& dice) {
        const network_fault chosen = fault(dice);
        for_each_way([&](testing::tcp_proxy& way) { way.set(chosen); });
    });
}

void etcd_rig::for_each_way(const std::function<void(testing::tcp_proxy&)>& what) {
    for (const ways& of_client : networks_) {
        for (const auto& way : of_client) {
            what(*way);
        }
    }
}

void etcd_rig::heal_networks() {
    for_each_way([](testing::tcp_proxy& way) { way.heal(); });
}

void etcd_rig::networks() {
    const auto cut_off = [](sim::dice&) {
        return network_fault{.to_server_held = true, .to_client_held = true};
    };
    on_one_member("member_cut_off", cut_off);
    on_one_member("member_cut_off_one_way", [](sim::dice& dice) {
        const bool to_server = dice.permille(500);
        return network_fault{.to_server_held = to_server, .to_client_held = !to_server};
    });
    on_one_member("member_refuses", [](sim::dice&) { return network_fault{.refused = true}; });
    on_all("all_cut_off", cut_off);
    on_all("all_slow", [](sim::dice& dice) {
        return network_fault{.delay = std::chrono::milliseconds(dice.between(20, 300))};
    });
    on_all("replies_cut_in_the_middle",
           [](sim::dice&) { return network_fault{.reply = network_fault::at_reply::divide}; });
    add("client_cut_off", [this, cut_off](sim::dice& dice) {
        for (const auto& way : networks_.at(dice.below(clients))) {
            way->set(cut_off(dice));
        }
    });
    // Held and then cut, and not cut at the first byte: what opens a connection would be the first byte
    // always.
    troubles_.push_back({"replies_lost",
                         [this](sim::dice&) {
                             for_each_way([](testing::tcp_proxy& way) { way.set({.to_client_held = true}); });
                         },
                         [this] {
                             for_each_way([](testing::tcp_proxy& way) { way.cut(); });
                             heal_networks();
                         }});
}

void etcd_rig::administrators() {
    troubles_.push_back({"history_compacted",
                         [this](sim::dice&) {
                             // Whoever watches has to open its watch again, and finds its past gone.
                             for_each_way([](testing::tcp_proxy& way) { way.cut(); });
                             compact();
                         },
                         [this] { compact(); }});
    troubles_.push_back({"lease_revoked", [this](sim::dice& dice) { revoke_a_lease(dice); }, nothing, true});
    troubles_.push_back(
        {"authentication_switched", [this](sim::dice&) { switch_authentication(); }, nothing});
}

void etcd_rig::compact() {
    const std::string fields = cluster_.ctl({"get", "nothing", "-w", "fields"});
    const std::string before = "\"Revision\" : ";
    const auto at = fields.find(before) + before.size();
    cluster_.ctl({"compact", fields.substr(at, fields.find('\n', at) - at)});
}

void etcd_rig::revoke_a_lease(sim::dice& dice) {
    std::vector<std::string> leases = lines_of(cluster_.ctl({"lease", "list"}));
    leases.erase(leases.begin()); // "found N leases"
    if (!leases.empty()) {
        cluster_.ctl({"lease", "revoke", leases.at(dice.below(leases.size()))});
    }
}

void etcd_rig::switch_authentication() {
    cluster_.ctl({"auth", authenticates_ ? "disable" : "enable"});
    authenticates_ = !authenticates_;
}

std::vector<std::string> etcd_rig::left_behind() {
    std::vector<std::string> found = lines_of(cluster_.ctl({"get", "--prefix", "--keys-only", ""}));
    std::vector<std::string> leases = lines_of(cluster_.ctl({"lease", "list"}));
    for (std::size_t i = 1; i < leases.size(); ++i) {
        found.push_back("lease " + leases.at(i));
    }
    return found;
}

} // namespace holdfast::chaos
