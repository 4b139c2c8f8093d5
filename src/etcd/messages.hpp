// etcd's requests and replies as plain values, and their bytes on the wire.
//
// The only door to the generated protobuf code, so that no other file pays for its headers. Pure functions,
// no I/O. Replies are untrusted: decode() says false for bytes that are not the message, and never trusts a
// count.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace holdfast::etcd {

/// Full names of the methods we call.
namespace method {
inline constexpr const char* txn = "/etcdserverpb.KV/Txn";
inline constexpr const char* range = "/etcdserverpb.KV/Range";
inline constexpr const char* delete_range = "/etcdserverpb.KV/DeleteRange";
inline constexpr const char* watch = "/etcdserverpb.Watch/Watch";
inline constexpr const char* lease_grant = "/etcdserverpb.Lease/LeaseGrant";
inline constexpr const char* lease_revoke = "/etcdserverpb.Lease/LeaseRevoke";
inline constexpr const char* lease_keep_alive = "/etcdserverpb.Lease/LeaseKeepAlive";
inline constexpr const char* lease_time_to_live = "/etcdserverpb.Lease/LeaseTimeToLive";
inline constexpr const char* authenticate = "/etcdserverpb.Auth/Authenticate";
inline constexpr const char* status = "/etcdserverpb.Maintenance/Status";
} // namespace method

struct header {
    std::uint64_t cluster_id = 0;
    std::int64_t revision = 0;
};

struct key_value {
    std::string key;
    std::string value;
    std::int64_t create_revision = 0;
    std::int64_t mod_revision = 0;
    std::int64_t lease = 0;
};

struct range_request {
    std::string key;
    std::string range_end;     ///< Empty: this one key.
    std::int64_t limit = 0;    ///< 0: all.
    std::int64_t revision = 0; ///< 0: now.
    std::int64_t min_create_revision = 0;
    bool by_creation = false; ///< Oldest first, instead of by key.
    bool keys_only = false;
};

struct range_reply {
    header head;
    std::vector<key_value> kvs;
    bool more = false;
    bool applied = false; ///< Of a conditional: its condition held.
};

struct put_request {
    std::string key;
    std::string value;
    std::int64_t lease = 0;
    bool keep_value = false; ///< The value stays as it is; the key must be there.
    bool keep_lease = false; ///< The lease stays as it is; the key must be there.
};

struct delete_request {
    std::string key;
};

/// Holds where every key in the range (of no key: the revision 0) compares so.
struct compare {
    enum class relation { equal, less, greater };
    enum class subject { creation, modification };
    std::string key;
    std::string range_end;
    relation is = relation::equal;
    std::int64_t revision = 0;
    subject of = subject::creation;
};

/// One step with a condition of its own; the steps beside it do not depend on it.
struct conditional {
    compare condition;
    std::variant<put_request, delete_request> step;
};

using operation = std::variant<range_request, put_request, delete_request, conditional>;

struct txn_request {
    std::vector<compare> compares;
    std::vector<operation> success;
    std::vector<operation> failure;
};

struct txn_reply {
    header head;
    bool succeeded = false;
    std::vector<range_reply> results; ///< One per operation; empty but for ranges.
};

struct watch_event {
    bool deleted = false;
    key_value kv;
};

struct watch_reply {
    header head;
    std::int64_t watch_id = 0;
    bool created = false;
    bool canceled = false;
    std::int64_t compact_revision = 0;
    std::string cancel_reason;
    std::vector<watch_event> events;
};

struct lease_reply {
    header head;
    std::int64_t id = 0;
    std::int64_t ttl_s = 0; ///< Not above 0: the lease is gone.
};

struct status_reply {
    header head;
    std::string version;
    std::uint64_t leader = 0;
    std::vector<std::string> errors; ///< Alarms above all.
};

std::string encode(const range_request& request);
std::string encode(const delete_request& request);
std::string encode(const txn_request& request);
/// All of them in one transaction; each keeps its own conditions.
std::string encode_combined(const std::vector<const txn_request*>& parts);
/// start_revision 0: from now on. range_end empty: this one key.
std::string encode_watch(std::string_view key, std::string_view range_end, std::int64_t start_revision);
/// Asks the stream how far it is; the answer has no watch and no events, only a revision.
std::string encode_watch_progress();
std::string encode_watch_cancel(std::int64_t watch_id);
std::string encode_lease_grant(std::int64_t ttl_s);
std::string encode_lease_revoke(std::int64_t id);
std::string encode_lease_keep_alive(std::int64_t id);
std::string encode_lease_time_to_live(std::int64_t id);
std::string encode_authenticate(std::string_view user, std::string_view password);

bool decode(std::string_view bytes, range_reply& out);
bool decode(std::string_view bytes, txn_reply& out);
/// The answers to the parts of encode_combined(), in their order.
bool decode_combined(std::string_view bytes, std::vector<txn_reply>& out);
bool decode(std::string_view bytes, watch_reply& out);
bool decode_lease_grant(std::string_view bytes, lease_reply& out);
bool decode_lease_keep_alive(std::string_view bytes, lease_reply& out);
bool decode_lease_time_to_live(std::string_view bytes, lease_reply& out);
bool decode_authenticate(std::string_view bytes, std::string& token);
bool decode(std::string_view bytes, status_reply& out);

} // namespace holdfast::etcd
