#include "grpc_parts.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include <arpa/inet.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <grpc/grpc.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "core/fork.hpp"

namespace holdfast::etcd {
namespace {

constexpr int max_reply_bytes = 32 << 20;
constexpr int window_bytes = 1 << 20;
thread_local int callback_depth = 0;
std::atomic<std::uint64_t> process_with_grpc{0}; // process_mark() of the one in which gRPC was started.

bool is_literal_address(const std::string& endpoint) {
    const std::string host = endpoint.substr(0, endpoint.rfind(':'));
    in_addr v4{};
    return host.starts_with('[') || inet_pton(AF_INET, host.c_str(), &v4) == 1;
}

grpc::ChannelArguments channel_arguments(const settings& how) {
    using std::chrono::duration_cast;
    using std::chrono::milliseconds;
    const auto limit = duration_cast<milliseconds>(how.op_timeout).count();
    grpc::ChannelArguments args;
    // etcd drops clients that ping more often than every 5 s.
    args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
    args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
    args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    // Measuring how much a connection can carry wakes an idle program every second. A fixed window of this
    // size carries more at once than etcd mostly answers.
    args.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    args.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, window_bytes);
    args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
    args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
    // The time that one attempt to connect may take: half of a request's, so that another endpoint gets its
    // turn.
    args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
                static_cast<int>(std::clamp<std::int64_t>(limit / 2, 100, 3'000)));
    // A name that is asked again only every 30 s would hide a server that has moved for longer than most
    // leases last.
    args.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1'000);
    args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    args.SetMaxReceiveMessageSize(max_reply_bytes);
    return args;
}

std::string system_authorities() {
    static const std::string text = [] {
        std::string out;
        if (std::FILE* file = std::fopen("/etc/ssl/certs/ca-certificates.crt", "re")) {
            char block[4096];
            for (std::size_t n = 0; (n = std::fread(block, 1, sizeof block, file)) > 0;) {
                out.append(block, n);
            }
            std::fclose(file);
        }
        return out;
    }();
    return text;
}

} // namespace

grpc::ByteBuffer to_buffer(const std::string& bytes) {
    const grpc::Slice slice(bytes);
    return grpc::ByteBuffer(&slice, 1);
}

std::string to_string(const grpc::ByteBuffer& buffer) {
    std::string out;
    std::vector<grpc::Slice> slices;
    if (buffer.Valid() && buffer.Dump(&slices).ok()) {
        out.reserve(buffer.Length());
        for (const grpc::Slice& slice : slices) {
            out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
        }
    }
    return out;
}

// Without this, gRPC would end its threads with the last channel of the process, which takes longer than a
// release, and start them again for the next.
void keep_grpc() {
    static std::once_flag once;
    std::call_once(once, [] {
        const quiet_scope quiet;
        grpc_init();
        process_with_grpc = core::process_mark();
    });
}

result<void> transport::possible_here() {
    if (const std::uint64_t mark = process_with_grpc; mark != 0 && core::forked_since(mark)) {
        return error(errc::misuse, "a process that has used etcd was forked, and gRPC does not work in its "
                                   "children: run another program there, or fork before the first connect()");
    }
    // gRPC opens some at its start and some for each connection. Should others take them just now, it aborts
    // all the same.
    std::array<int, 12> probes{};
    probes.fill(-1);
    bool enough = true;
    for (int& each : probes) {
        each = enough ? eventfd(0, EFD_CLOEXEC) : -1;
        enough = each >= 0;
    }
    const int why = errno;
    for (const int each : probes) {
        if (each >= 0) {
            close(each);
        }
    }
    if (!enough) {
        return error(errc::unavailable, "no descriptors are left to speak to etcd with: " +
                                            std::generic_category().message(why) + "; raise ulimit -n");
    }
    return {};
}

// gRPC's own resolver ignores nsswitch.conf and asks for names that the system knows. The only switch it has
// is this variable, read when gRPC starts; a value that the user has set wins, and literal addresses need no
// resolver.
void prefer_system_resolver(const std::vector<std::string>& endpoints) {
    static std::once_flag once;
    if (!std::ranges::all_of(endpoints, is_literal_address)) {
        std::call_once(once, [] { setenv("GRPC_DNS_RESOLVER", "native", 0); });
    }
}

std::shared_ptr<grpc::Channel> make_channel(const settings& how, const std::string& endpoint) {
    std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
    if (how.tls) {
        grpc::SslCredentialsOptions keys;
        keys.pem_root_certs = how.ca_pem.empty() ? system_authorities() : how.ca_pem;
        keys.pem_private_key = how.key_pem;
        keys.pem_cert_chain = how.cert_pem;
        credentials = grpc::SslCredentials(keys);
    }
    return grpc::CreateCustomChannel("dns:///" + endpoint, credentials, channel_arguments(how));
}

// gRPC tells only in its words when no connection could be had for a call. Whatever else ended it, and a
// deadline above all, it may have been sent.
bool surely_not_sent(const grpc::Status& status) {
    const std::string& text = status.error_message();
    return status.error_code() == grpc::StatusCode::UNAVAILABLE &&
           (text.starts_with("failed to connect to all addresses") ||
            text.starts_with("DNS resolution failed"));
}

callback_mark::callback_mark(grpc_transport& owner) : owner_(owner) {
    ++callback_depth;
    owner_.callback_begins();
}

callback_mark::~callback_mark() {
    --callback_depth;
    owner_.callback_ends();
}

void callback_mark::mark_thread() noexcept {
    ++callback_depth;
}

bool callback_mark::inside_one() noexcept {
    return callback_depth > 0;
}

void grpc_stream::part::ended(bool ok) {
    take_over(&of);
    const callback_mark mark(of.owner_);
    (of.*then)(ok);
}

void grpc_stream::begin(const std::string& token) {
    const quiet_scope quiet;
    if (!token.empty()) {
        context_->AddMetadata("token", token);
    }
    self_ = shared_from_this();
    generic_stub stub(owner_.channel(endpoint_));
    calls_ = stub.PrepareCall(context_.get(), method_, owner_.queue());
    hand_over(this);
    calls_->StartCall(static_cast<ticket*>(&started_part_));
}

void grpc_stream::on_started(bool ok) {
    {
        const std::lock_guard lock(mutex_);
        started_ = ok;
        ended_ = !ok;
    }
    if (ok) {
        read_next();
        write_next();
    } else {
        finish_if_idle();
    }
}

void grpc_stream::cancel_now() {
    const std::lock_guard lock(mutex_);
    if (context_) {
        context_->TryCancel();
    }
}

void grpc_stream::fail(outcome why) {
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        queue_.clear();
    }
    const auto closed = std::move(events_.on_closed);
    events_ = {};
    closed(why);
}

void grpc_stream::queue(std::string bytes) {
    const std::lock_guard lock(mutex_);
    if (!ended_) {
        queue_.push_back(std::move(bytes));
    }
}

void grpc_stream::flush() {
    const quiet_scope quiet;
    write_next();
}

// One write at a time, started outside the lock; whoever sets writing_ starts it.
void grpc_stream::write_next() {
    {
        const std::lock_guard lock(mutex_);
        if (!started_ || writing_ || ended_ || queue_.empty()) {
            return;
        }
        writing_ = true;
        out_ = to_buffer(queue_.front());
        queue_.pop_front();
    }
    hand_over(this);
    calls_->Write(out_, static_cast<ticket*>(&write_part_));
}

void grpc_stream::read_next() {
    hand_over(this);
    calls_->Read(&in_, static_cast<ticket*>(&read_part_));
}

void grpc_stream::on_read(bool ok) {
    if (ok) {
        std::string bytes;
        {
            const std::lock_guard lock(mutex_);
            bytes = to_string(in_);
            in_.Clear();
        }
        events_.on_message(bytes);
        read_next();
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        queue_.clear();
    }
    finish_if_idle();
}

void grpc_stream::on_written(bool ok) {
    {
        const std::lock_guard lock(mutex_);
        writing_ = false;
        // A write that failed means that the stream is over; the reader hears of it too, and ends it.
        if (!ok) {
            queue_.clear();
        }
    }
    write_next();
    finish_if_idle();
}

// Once the reader has come to the end and no write is under way: then gRPC tells why.
void grpc_stream::finish_if_idle() {
    {
        const std::lock_guard lock(mutex_);
        if (!ended_ || writing_ || finishing_) {
            return;
        }
        finishing_ = true;
    }
    hand_over(this);
    calls_->Finish(&status_, static_cast<ticket*>(&finish_part_));
}

void grpc_stream::on_finished(bool) {
    const grpc::Status& status = status_;
    std::shared_ptr<grpc_stream> keep = std::move(self_);
    outcome why;
    std::unique_ptr<grpc::ClientContext> ended;
    {
        const std::lock_guard lock(mutex_);
        why = {static_cast<rpc_code>(status.error_code()),
               status.error_message(),
               {},
               owner_.name_of(endpoint_),
               !surely_not_sent(status)};
        ended = std::move(context_);
        calls_.reset();
    }
    ended.reset(); // See grpc_transport::finish().
    if (why.code == rpc_code::unavailable) {
        owner_.avoid(endpoint_);
    }
    fail(why);
    hand_over(this);
    owner_.leave(keep);
    let_go(std::move(keep));
}

} // namespace holdfast::etcd
