// What an administrator does to a line from outside: break its holds, give it another capacity.
//
// Blocks, each until give_up at most; no state. Every change is conditional on the very claims that were
// read, so that it never touches one that came later.
#pragma once

#include <optional>
#include <string>

#include <holdfast/store.hpp>

#include "rpc.hpp"

namespace holdfast::etcd {

/// See store::break_holds. The claims are first moved to a lease of this call's: their holders see that and
/// know that the deletion which follows is a break; should this process die in between, that lease takes them
/// away.
result<std::size_t> break_holds(transport& calls, const std::string& space, const resource_name& name,
                                std::optional<token> only, instant give_up);

/// See store::resize. The number stands in the text of the keys, which cannot change without losing their
/// places: it is written into the values (value.hpp), oldest claim first. While a line has claims of both
/// numbers the rule takes those that differ from the head's for exclusive, so nothing is granted that should
/// not be.
result<void> resize(transport& calls, const std::string& space, const resource_name& name,
                    std::uint32_t permits, instant give_up);

} // namespace holdfast::etcd
