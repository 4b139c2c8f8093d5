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

etcd_bare::etcd_bare(const std::string& endpoint) : channel_(std::make_unique<channel>()) {
    channel_->to = grpc::CreateChannel(endpoint, grpc::InsecureChannelCredentials());
    etcd::lease_reply lease;
    if (!etcd::decode_lease_grant(call(etcd::method::lease_grant, etcd::encode_lease_grant(600)), lease)) {
        throw std::runtime_error("etcd granted no lease");
    }
    // As long as a claim's key and value, so that both sides move the same bytes.
    const std::string key =
        "bench-bare/694d9b2f1a3c5e7d-0123456789abcdef0123456789abcdef.1-1073741824.1073741824";
    etcd::txn_request request;
    request.compares.push_back({.key = key, .range_end = {}}); // No key: its create revision is 0.
    request.success.push_back(
        etcd::put_request{.key = key, .value = std::string(100, 'v'), .lease = lease.id});
    put_if_absent_ = etcd::encode(request);
    erase_ = etcd::encode(etcd::delete_request{.key = key});
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

void etcd_bare::cycle() {
    etcd::txn_reply done;
    if (!etcd::decode(call(etcd::method::txn, put_if_absent_), done) || !done.succeeded) {
        throw std::runtime_error("etcd: the key of the bare cycle was there already");
    }
    static_cast<void>(call(etcd::method::delete_range, erase_));
}

} // namespace holdfast::bench
