// What changed between two looks at a store's lines. Pure functions.
#pragma once

#include <string>
#include <vector>

#include <holdfast/admin.hpp>

namespace holdfast::cli {

/// waits: came to stand in line. holds: was granted, or came and holds. gone: released, lost, gave up.
/// stale: its lease ran out or its process is gone. proposal: its proposal changed. capacity: the number of
/// permits of the line changed; it has no claim.
struct line_change {
    const char* event = "";
    const resource_status* resource = nullptr; ///< As it was last seen.
    const claim_status* claim = nullptr;
};

/// In the order of names, within a name first what went, then what came, in the order of the line. The
/// pointers point into the arguments, which must be sorted by name.
std::vector<line_change> changes_between(const std::vector<resource_status>& before,
                                         const std::vector<resource_status>& after);

} // namespace holdfast::cli
