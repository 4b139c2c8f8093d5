#include "cli/watch_changes.hpp"

#include <algorithm>

namespace holdfast::cli {
namespace {

/// Whether two looks show the same claim. A store may name a claim anew when it is granted; a token is never
/// given twice.
bool is_same(const claim_status& a, const claim_status& b) {
    return a.id == b.id && (a.token == b.token || a.token == 0 || b.token == 0);
}

const claim_status* find_in(const resource_status* resource, const claim_status& wanted) {
    if (resource == nullptr) {
        return nullptr;
    }
    const auto found = std::find_if(resource->claims.begin(), resource->claims.end(),
                                    [&wanted](const claim_status& each) { return is_same(each, wanted); });
    return found == resource->claims.end() ? nullptr : &*found;
}

void compare(const resource_status* before, const resource_status* after, std::vector<line_change>& out) {
    if (before != nullptr) {
        for (const claim_status& claim : before->claims) {
            if (find_in(after, claim) == nullptr) {
                out.push_back({"gone", before, &claim});
            }
        }
    }
    if (after == nullptr) {
        return;
    }
    if (before != nullptr && !before->claims.empty() && !after->claims.empty() &&
        before->capacity != after->capacity) {
        out.push_back({"capacity", after, nullptr});
    }
    for (const claim_status& claim : after->claims) {
        const claim_status* known = find_in(before, claim);
        if (known == nullptr || known->holds != claim.holds) {
            out.push_back({claim.holds ? "holds" : "waits", after, &claim});
        }
        if (claim.stale && (known == nullptr || !known->stale)) {
            out.push_back({"stale", after, &claim});
        }
        if (known != nullptr && claim.holds == known->holds && claim.proposal != known->proposal) {
            out.push_back({"proposal", after, &claim});
        }
    }
}

} // namespace

std::vector<line_change> changes_between(const std::vector<resource_status>& before,
                                         const std::vector<resource_status>& after) {
    std::vector<line_change> out;
    auto old = before.begin();
    auto now = after.begin();
    while (old != before.end() || now != after.end()) {
        const bool only_old = now == after.end() || (old != before.end() && old->name < now->name);
        const bool only_now = old == before.end() || (now != after.end() && now->name < old->name);
        compare(only_now ? nullptr : &*old, only_old ? nullptr : &*now, out);
        old += only_now ? 0 : 1;
        now += only_old ? 0 : 1;
    }
    return out;
}

} // namespace holdfast::cli
