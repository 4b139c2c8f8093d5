// The text of etcd keys: how a claim of ours is written, and how any key below a name is read.
//
//   NAMESPACE/NAME/<lease, lowercase hex>-<claim id>-<weight>.<capacity>
//
// Pure functions over bytes; no I/O, no state. Go's, etcdctl's and v3lock's mutexes count every key below
// `NAME/` into their order, so this one form excludes them and is excluded by them. A claim's own part has no
// slash, so the last slash of a key always parts name from claim: `a` and `a/b` are two locks, although etcd
// calls both "below a/".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <holdfast/store.hpp>

#include "core/line.hpp"

namespace holdfast::etcd {

/// Everything below `prefix`, as etcd's half-open ranges say it: [prefix, end).
struct key_range {
    std::string key;
    std::string end;
};

/// "" or "namespace/", from the path of a URL; slashes around it are dropped.
std::string namespace_prefix(std::string_view url_path);

/// What stands in front of every claim of a name: namespace, name and a slash.
std::string line_prefix(std::string_view space, const resource_name& name);

/// The range of all keys with this prefix; an empty prefix: all keys.
key_range range_of(std::string_view prefix);

/// The key of one claim under a session's lease.
std::string claim_key(std::string_view prefix, std::int64_t lease, const claim& what);

/// A claim of ours, as its key tells it.
struct claim_text {
    std::int64_t lease = 0;
    claim_id id;
    std::uint32_t weight = 0;
    std::uint32_t capacity = 0;
};

/// Reads the part behind the last slash; none when it is not of our form.
std::optional<claim_text> parse_claim(std::string_view text);

/// How the rule sees a key of the line with this prefix: none when the key belongs to a deeper name or none;
/// foreign when it is not of our form.
std::optional<core::place> place_of(std::string_view prefix, std::string_view key);

/// Whether the part behind the last slash is a lease in hex, this lease: Go's mutex and election, etcdctl,
/// v3lock.
bool looks_like_lock(std::string_view text, std::int64_t lease);

/// Lowercase hex without padding, as Go prints a lease.
std::string lease_hex(std::int64_t lease);

} // namespace holdfast::etcd
