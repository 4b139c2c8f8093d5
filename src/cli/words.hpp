// The words that tables and JSON have in common; what JSON promises never changes (docs/json.md).
//
// Pure functions.
#pragma once

#include <holdfast/admin.hpp>

namespace holdfast::cli {

inline const char* word_of(claim_state state) noexcept {
    return state == claim_state::live ? "live" : state == claim_state::stale ? "stale" : "foreign";
}

inline const char* word_of(finding::severity how) noexcept {
    return how == finding::severity::fine ? "fine" : how == finding::severity::warning ? "warning" : "error";
}

/// Of a lock: another client's counts as exclusive.
inline const char* mode_of(const claim_status& claim) noexcept {
    return claim.foreign || claim.weight == lock_capacity ? "exclusive" : "shared";
}

} // namespace holdfast::cli
