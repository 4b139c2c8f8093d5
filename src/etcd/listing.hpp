// Who holds and who waits, for people: every claim below a namespace. Blocks; decides nothing.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "messages.hpp"
#include "rpc.hpp"

namespace holdfast::etcd {

/// By their names, the lines that somebody uses as a lock; in each its keys, oldest first.
using lock_lines = std::map<std::string, std::vector<key_value>>;
/// Those among all keys of the namespace.
lock_lines lines_among(const std::string& space, std::vector<key_value> keys);

/// Every name in the namespace with a claim of ours or a lock of a known client. Names, values and leases are
/// read one after the other: what is shown was true at one moment, and the rest not long after.
result<std::vector<resource_status>> list_claims(transport& calls, const std::string& space, instant give_up);

/// One name's line, as it stood at one revision; without claims when it is free.
result<resource_status> show_claims(transport& calls, const std::string& space, const resource_name& name,
                                    instant give_up);

} // namespace holdfast::etcd
