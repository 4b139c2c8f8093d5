#include "messages.hpp"

#include <array>
#include <climits>
#include <cstddef>

#include <google/protobuf/arena.h>

#include "holdfast_etcd.pb.h"

namespace holdfast::etcd {
namespace {

// Where the parts of one message lie, without an allocation for each.
class scratch {
  public:
    scratch() : arena_(in(block_.data(), block_.size())) {}
    template <typename Message>
    Message& make() {
        return *google::protobuf::Arena::CreateMessage<Message>(&arena_);
    }

  private:
    static google::protobuf::ArenaOptions in(char* block, std::size_t bytes) {
        google::protobuf::ArenaOptions options;
        options.initial_block = block;
        options.initial_block_size = bytes;
        return options;
    }
    alignas(std::max_align_t) std::array<char, 4096> block_;
    google::protobuf::Arena arena_;
};

template <typename Message>
bool parse(std::string_view bytes, Message& out) {
    return bytes.size() <= INT_MAX && out.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

header read(const wire::ResponseHeader& from) {
    return {from.cluster_id(), from.revision()};
}

key_value read(wire::KeyValue& from) {
    return {std::move(*from.mutable_key()), std::move(*from.mutable_value()), from.create_revision(),
            from.mod_revision(), from.lease()};
}

range_reply read(wire::RangeResponse& from) {
    range_reply out{read(from.header()), {}, from.more(), false};
    out.kvs.reserve(static_cast<std::size_t>(from.kvs_size()));
    for (wire::KeyValue& kv : *from.mutable_kvs()) {
        out.kvs.push_back(read(kv));
    }
    return out;
}

void write(const range_request& from, wire::RangeRequest& to) {
    to.set_key(from.key);
    to.set_range_end(from.range_end);
    to.set_limit(from.limit);
    to.set_revision(from.revision);
    to.set_min_create_revision(from.min_create_revision);
    to.set_keys_only(from.keys_only);
    if (from.by_creation) {
        to.set_sort_order(wire::RangeRequest::ASCEND);
        to.set_sort_target(wire::RangeRequest::CREATE);
    }
}

void write(const put_request& from, wire::PutRequest& to) {
    to.set_key(from.key);
    to.set_value(from.value);
    to.set_lease(from.lease);
    to.set_ignore_value(from.keep_value);
    to.set_ignore_lease(from.keep_lease);
}

void write(const compare& from, wire::Compare& to) {
    to.set_key(from.key);
    to.set_range_end(from.range_end);
    if (from.of == compare::subject::creation) {
        to.set_target(wire::Compare::CREATE);
        to.set_create_revision(from.revision);
    } else {
        to.set_target(wire::Compare::MOD);
        to.set_mod_revision(from.revision);
    }
    switch (from.is) {
    case compare::relation::equal:
        to.set_result(wire::Compare::EQUAL);
        break;
    case compare::relation::less:
        to.set_result(wire::Compare::LESS);
        break;
    case compare::relation::greater:
        to.set_result(wire::Compare::GREATER);
        break;
    }
}

void write(const operation& from, wire::RequestOp& to) {
    if (const auto* range = std::get_if<range_request>(&from)) {
        write(*range, *to.mutable_request_range());
    } else if (const auto* put = std::get_if<put_request>(&from)) {
        write(*put, *to.mutable_request_put());
    } else if (const auto* gone = std::get_if<delete_request>(&from)) {
        to.mutable_request_delete_range()->set_key(gone->key);
    } else if (const auto* guarded = std::get_if<conditional>(&from)) {
        wire::TxnRequest& inner = *to.mutable_request_txn();
        write(guarded->condition, *inner.add_compare());
        std::visit([&](const auto& step) { write(operation(step), *inner.add_success()); }, guarded->step);
    }
}

void write(const txn_request& from, wire::TxnRequest& to) {
    for (const compare& condition : from.compares) {
        write(condition, *to.add_compare());
    }
    for (const operation& step : from.success) {
        write(step, *to.add_success());
    }
    for (const operation& step : from.failure) {
        write(step, *to.add_failure());
    }
}

void read(wire::TxnResponse& from, txn_reply& out) {
    out.succeeded = from.succeeded();
    out.results.clear();
    for (wire::ResponseOp& step : *from.mutable_responses()) {
        range_reply& one = out.results.emplace_back();
        if (step.has_response_range()) {
            one = read(*step.mutable_response_range());
        } else if (step.has_response_txn()) {
            one.applied = step.response_txn().succeeded();
        }
    }
}

template <typename Message>
bool decode_lease(std::string_view bytes, lease_reply& out) {
    Message message;
    if (!parse(bytes, message)) {
        return false;
    }
    out = {read(message.header()), message.id(), message.ttl()};
    return true;
}

} // namespace

std::string encode(const range_request& request) {
    wire::RangeRequest message;
    write(request, message);
    return message.SerializeAsString();
}

std::string encode(const delete_request& request) {
    wire::DeleteRangeRequest message;
    message.set_key(request.key);
    return message.SerializeAsString();
}

std::string encode(const txn_request& request) {
    scratch space;
    wire::TxnRequest& message = space.make<wire::TxnRequest>();
    write(request, message);
    return message.SerializeAsString();
}

std::string encode_combined(const std::vector<const txn_request*>& parts) {
    scratch space;
    wire::TxnRequest& message = space.make<wire::TxnRequest>();
    for (const txn_request* one : parts) {
        write(*one, *message.add_success()->mutable_request_txn());
    }
    return message.SerializeAsString();
}

std::string encode_watch(std::string_view key, std::string_view range_end, std::int64_t start_revision) {
    wire::WatchRequest message;
    wire::WatchCreateRequest& create = *message.mutable_create_request();
    create.set_key(std::string(key));
    create.set_range_end(std::string(range_end));
    create.set_start_revision(start_revision);
    return message.SerializeAsString();
}

std::string encode_watch_progress() {
    wire::WatchRequest message;
    message.mutable_progress_request();
    return message.SerializeAsString();
}

std::string encode_watch_cancel(std::int64_t watch_id) {
    wire::WatchRequest message;
    message.mutable_cancel_request()->set_watch_id(watch_id);
    return message.SerializeAsString();
}

std::string encode_lease_grant(std::int64_t ttl_s) {
    wire::LeaseGrantRequest message;
    message.set_ttl(ttl_s);
    return message.SerializeAsString();
}

std::string encode_lease_revoke(std::int64_t id) {
    wire::LeaseRevokeRequest message;
    message.set_id(id);
    return message.SerializeAsString();
}

std::string encode_lease_keep_alive(std::int64_t id) {
    wire::LeaseKeepAliveRequest message;
    message.set_id(id);
    return message.SerializeAsString();
}

std::string encode_lease_time_to_live(std::int64_t id) {
    wire::LeaseTimeToLiveRequest message;
    message.set_id(id);
    return message.SerializeAsString();
}

std::string encode_authenticate(std::string_view user, std::string_view password) {
    wire::AuthenticateRequest message;
    message.set_name(std::string(user));
    message.set_password(std::string(password));
    return message.SerializeAsString();
}

bool decode(std::string_view bytes, range_reply& out) {
    wire::RangeResponse message;
    if (!parse(bytes, message)) {
        return false;
    }
    out = read(message);
    return true;
}

bool decode(std::string_view bytes, txn_reply& out) {
    scratch space;
    wire::TxnResponse& message = space.make<wire::TxnResponse>();
    if (!parse(bytes, message)) {
        return false;
    }
    out.head = read(message.header());
    read(message, out);
    return true;
}

bool decode_combined(std::string_view bytes, std::vector<txn_reply>& out) {
    scratch space;
    wire::TxnResponse& message = space.make<wire::TxnResponse>();
    if (!parse(bytes, message)) {
        return false;
    }
    out.clear();
    for (wire::ResponseOp& step : *message.mutable_responses()) {
        if (!step.has_response_txn()) {
            return false;
        }
        txn_reply& one = out.emplace_back();
        one.head = read(message.header()); // They have no revision of their own.
        read(*step.mutable_response_txn(), one);
    }
    return true;
}

bool decode(std::string_view bytes, watch_reply& out) {
    wire::WatchResponse message;
    if (!parse(bytes, message)) {
        return false;
    }
    out.head = read(message.header());
    out.watch_id = message.watch_id();
    out.created = message.created();
    out.canceled = message.canceled();
    out.compact_revision = message.compact_revision();
    out.cancel_reason = message.cancel_reason();
    out.events.clear();
    for (wire::Event& event : *message.mutable_events()) {
        out.events.push_back({event.type() == wire::Event::DELETE, read(*event.mutable_kv())});
    }
    return true;
}

bool decode_lease_grant(std::string_view bytes, lease_reply& out) {
    return decode_lease<wire::LeaseGrantResponse>(bytes, out);
}

bool decode_lease_keep_alive(std::string_view bytes, lease_reply& out) {
    return decode_lease<wire::LeaseKeepAliveResponse>(bytes, out);
}

bool decode_lease_time_to_live(std::string_view bytes, lease_reply& out) {
    return decode_lease<wire::LeaseTimeToLiveResponse>(bytes, out);
}

bool decode_authenticate(std::string_view bytes, std::string& token) {
    wire::AuthenticateResponse message;
    if (!parse(bytes, message)) {
        return false;
    }
    token = std::move(*message.mutable_token());
    return true;
}

bool decode(std::string_view bytes, status_reply& out) {
    wire::StatusResponse message;
    if (!parse(bytes, message)) {
        return false;
    }
    out = {read(message.header()), std::move(*message.mutable_version()), message.leader(), {}};
    out.errors.assign(message.errors().begin(), message.errors().end());
    return true;
}

} // namespace holdfast::etcd
