#include "etcd_bare.hpp"

#include <chrono>
#include <stdexcept>

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/client_unary_call.h>

#include "etcd/messages.hpp"

namespace holdfast::bench {

struct etcd_bare::channel {
    std::shared_ptr<grpc::Channel> to;
};

etcd_bare::etcd_bare(const std::string& endpoint, shape of)
    : channel_(std::make_unique<channel>()), shape_(of) {
    channel_->to = grpc::CreateChannel(endpoint, grpc::InsecureChannelCredentials());
    etcd::lease_reply lease;
    if (!etcd::decode_lease_grant(call(etcd::method::lease_grant, etcd::encode_lease_grant(600)), lease)) {
        throw std::runtime_error("etcd granted no lease");
    }
    // As long as a claim's key and value, so that both sides move the same bytes.
    const std::string line = of == shape::plain ? "bench-bare/" : "bench-same/";
    key_ = line + "694d9b2f1a3c5e7d-0123456789abcdef0123456789abcdef.1-1073741824.1073741824";
    etcd::txn_request request;
    request.compares.push_back({.key = key_, .range_end = {}}); // No key: its create revision is 0.
    request.success.emplace_back(
        etcd::put_request{.key = key_, .value = std::string(100, 'v'), .lease = lease.id});
    if (of == shape::as_ours) {
        etcd::range_request look;
        look.key = line;
        look.range_end = line.substr(0, line.size() - 1) + "0";
        look.limit = 64;
        look.by_creation = true;
        look.keys_only = true;
        request.success.emplace_back(look);
    }
    put_if_absent_ = etcd::encode(request);
    erase_ = etcd::encode(etcd::delete_request{.key = key_});
}

etcd_bare::~etcd_bare() = default;

// The call that gRPC's generated stubs make, with bytes in place of messages.
std::string etcd_bare::call(const char* method, const std::string& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    const grpc::Slice out(request);
    const grpc::ByteBuffer body(&out, 1);
    grpc::ByteBuffer answer;
    const grpc::internal::RpcMethod what(method, grpc::internal::RpcMethod::NORMAL_RPC);
    const grpc::Status status = grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
        channel_->to.get(), what, &context, body, &answer);
    if (!status.ok()) {
        throw std::runtime_error("etcd: " + status.error_message());
    }
    grpc::Slice in;
    if (!answer.DumpToSingleSlice(&in).ok()) {
        throw std::runtime_error("etcd: a reply without a body");
    }
    return {reinterpret_cast<const char*>(in.begin()), in.size()};
}

void etcd_bare::put() {
    etcd::txn_reply done;
    if (!etcd::decode(call(etcd::method::txn, put_if_absent_), done) || !done.succeeded) {
        throw std::runtime_error("etcd: the key of the bare cycle was there already");
    }
    put_at_ = done.head.revision;
}

void etcd_bare::erase() {
    if (shape_ == shape::plain) {
        static_cast<void>(call(etcd::method::delete_range, erase_));
        return;
    }
    etcd::txn_request request;
    request.compares.push_back({.key = key_, .range_end = {}, .revision = put_at_});
    request.success.emplace_back(etcd::delete_request{.key = key_});
    static_cast<void>(call(etcd::method::txn, etcd::encode(request)));
}

} // namespace holdfast::bench
