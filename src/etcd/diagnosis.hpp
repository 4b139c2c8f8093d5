// What `holdfast doctor` says about an etcd cluster. Blocks, until give_up at most; leaves nothing behind but
// a lease that it ends at once.
#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include <holdfast/store.hpp>

#include "settings.hpp"

namespace holdfast::etcd {

/// Findings of this kind: endpoint, leader, version, alarms (for each endpoint), cluster, round-trip, lease,
/// rights, line.
std::vector<finding> diagnose(const settings& how, std::chrono::nanoseconds ttl, instant give_up);

/// What is known to be wrong with leases in this version, as a sentence; empty when nothing is.
std::string lease_bugs(std::string_view version);

} // namespace holdfast::etcd
