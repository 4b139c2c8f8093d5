#include "grpc_parts.hpp"

#include <optional>

#include "messages.hpp"

#include "core/boottime.hpp"

namespace holdfast::etcd {

struct unary final : in_flight, ticket, std::enable_shared_from_this<unary> {
    explicit unary(grpc_transport& owner) : owner(owner) {}
    grpc_transport& owner;
    const char* method = nullptr;
    std::string request;
    instant deadline;
    repeat again = repeat::never;
    completion done;
    std::size_t endpoint = 0;
    std::size_t attempts = 0;
    bool authenticated_again = false;
    std::string token; // As it was sent.
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader;
    grpc::ByteBuffer in;
    grpc::Status status;
    // gRPC hands the call from thread to thread in ways that ThreadSanitizer cannot see; this mutex it can.
    std::mutex handover;

    void cancel_now() override {
        const std::lock_guard lock(handover);
        if (context) {
            context->TryCancel();
        }
    }

    bool is_brief() const override { return true; }

    void ended(bool) override {
        take_over(this);
        const callback_mark mark(owner);
        owner.finished(shared_from_this(), status);
    }
};

grpc_transport::~grpc_transport() {
    std::vector<std::shared_ptr<in_flight>> running;
    {
        const std::lock_guard lock(mutex_);
        closing_ = true;
        running.assign(running_.begin(), running_.end());
    }
    for (auto& one : running) {
        one->cancel_now();
        let_go(std::move(one));
    }
    loop_.hurry();
    std::unique_lock lock(mutex_);
    empty_.wait(lock, [this] { return running_.empty() && callbacks_ == 0; });
}

void grpc_transport::callback_begins() {
    const std::lock_guard lock(mutex_);
    ++callbacks_;
}

void grpc_transport::callback_ends() {
    const std::lock_guard lock(mutex_);
    --callbacks_;
    empty_.notify_all();
}

std::shared_ptr<grpc::Channel> grpc_transport::channel(std::size_t endpoint) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<grpc::Channel>& one = channels_[endpoint];
    if (!one) {
        one = make_channel(how_, how_.endpoints[endpoint]);
    }
    return one;
}

bool grpc_transport::enter(const std::shared_ptr<in_flight>& one) {
    const std::lock_guard lock(mutex_);
    if (closing_) {
        return false;
    }
    running_.insert(one);
    if (one->is_brief()) {
        loop_.begins();
    }
    return true;
}

void grpc_transport::leave(const std::shared_ptr<in_flight>& one) {
    const std::lock_guard lock(mutex_);
    running_.erase(one);
    if (one->is_brief()) {
        loop_.ends();
    }
    if (running_.empty()) {
        empty_.notify_all();
    }
}

void grpc_transport::call(const char* method, std::string request, instant deadline, repeat again,
                          completion done) {
    // See hand_over(): whoever drops the last reference comes after all others.
    const std::shared_ptr<unary> one(new unary(*this), [](unary* last) {
        take_over(last);
        delete last;
    });
    one->method = method;
    one->request = std::move(request);
    one->deadline = deadline;
    one->again = again;
    one->done = std::move(done);
    if (!enter(one)) {
        finish(one, {rpc_code::cancelled, "the store is being closed", {}, name_of(current()), false});
        return;
    }
    start(one);
}

void grpc_transport::start(const std::shared_ptr<unary>& one) {
    if (one->method != method::authenticate && !token_for(one->token)) {
        with_token(one->deadline, [this, one](const outcome& failure) {
            if (!failure.ok()) {
                finish(one, failure);
                hand_over(one.get());
                leave(one);
                return;
            }
            if (boottime() >= one->deadline) {
                finish(one, {rpc_code::unavailable,
                             "no time was left after the authentication",
                             {},
                             name_of(current()),
                             false});
                hand_over(one.get());
                leave(one);
                return;
            }
            start(one);
        });
        return;
    }
    std::optional<quiet_scope> quiet; // Once it has answered, gRPC has all its threads.
    if (!answered_.load(std::memory_order_relaxed)) {
        quiet.emplace();
    }
    const std::shared_ptr<grpc::Channel> stub_channel = channel(one->endpoint = current());
    grpc::ClientContext* context = nullptr;
    {
        const std::lock_guard lock(one->handover);
        one->context = std::make_unique<grpc::ClientContext>();
        one->context->set_deadline(grpc_deadline(
            one->again == repeat::freely ? std::min(one->deadline, boottime() + how_.attempt_timeout())
                                         : one->deadline));
        if (!one->token.empty()) {
            one->context->AddMetadata("token", one->token);
        }
        one->in.Clear();
        ++one->attempts;
        context = one->context.get();
    }
    // The call is kept alive by the list of those that run, until it leaves.
    const grpc::internal::RpcMethod what(one->method, grpc::internal::RpcMethod::NORMAL_RPC);
    one->reader.reset(grpc::internal::ClientAsyncResponseReaderHelper::Create<grpc::ByteBuffer>(
        stub_channel.get(), queue(), what, context, to_buffer(one->request)));
    hand_over(one.get());
    one->reader->StartCall();
    one->reader->Finish(&one->in, &one->status, static_cast<ticket*>(one.get()));
}

void grpc_transport::finished(const std::shared_ptr<unary>& one, const grpc::Status& status) {
    outcome what;
    {
        const std::lock_guard lock(one->handover);
        what.code = static_cast<rpc_code>(status.error_code());
        what.message = status.error_message();
        what.body = status.ok() ? to_string(one->in) : std::string();
        what.endpoint = name_of(one->endpoint);
        what.sent = !surely_not_sent(status);
    }
    if (what.ok() && !answered_.load(std::memory_order_relaxed)) {
        answered_.store(true, std::memory_order_relaxed);
    }
    bool once_more = false;
    if (what.code == rpc_code::unavailable || what.code == rpc_code::deadline_exceeded) {
        avoid(one->endpoint);
        // Only the attempt's own time was over, or another endpoint has not been asked yet.
        once_more = what.code == rpc_code::deadline_exceeded ? one->again == repeat::freely
                                                             : (!what.sent || one->again == repeat::freely) &&
                                                                   one->attempts < how_.endpoints.size();
    } else if (!how_.user.empty() && one->method != method::authenticate && !one->authenticated_again &&
               is_stale_token(what.code, what.message)) {
        // The server checks the token first, so nothing was done.
        const std::lock_guard lock(mutex_);
        if (token_ == one->token) {
            token_.clear();
            auth_off_ = false;
        }
        one->authenticated_again = once_more = true;
    }
    if (once_more) {
        const std::unique_lock lock(mutex_);
        once_more = !closing_;
    }
    if (once_more && boottime() < one->deadline) {
        start(one);
        return;
    }
    finish(one, std::move(what));
    hand_over(one.get());
    leave(one);
}

void grpc_transport::finish(const std::shared_ptr<unary>& one, outcome what) {
    const completion done = std::move(one->done);
    std::unique_ptr<grpc::ClientContext> ended;
    {
        const std::lock_guard lock(one->handover);
        ended = std::move(one->context);
        one->reader.reset();
    }
    ended.reset(); // It refers to the channel, and must not be the last to do so.
    done(std::move(what));
}

bool grpc_transport::token_for(std::string& token) {
    const std::lock_guard lock(mutex_);
    token = token_;
    return how_.user.empty() || auth_off_ || !token_.empty();
}

void grpc_transport::with_token(instant deadline, token_waiter then) {
    {
        std::unique_lock lock(mutex_);
        if (how_.user.empty() || auth_off_ || !token_.empty()) {
            lock.unlock();
            then({});
            return;
        }
        token_waiters_.push_back(std::move(then));
        if (authenticating_) {
            return;
        }
        authenticating_ = true;
    }
    // Others join in whose time is longer than this caller's.
    authenticate(std::max(deadline, soon()));
}

void grpc_transport::authenticate(instant deadline) {
    call(method::authenticate, encode_authenticate(how_.user, how_.password), deadline, repeat::freely,
         [this](outcome what) { authenticated(std::move(what)); });
}

void grpc_transport::authenticated(outcome what) {
    std::string token;
    if (what.ok() && (!decode_authenticate(what.body, token) || token.empty())) {
        what.code = rpc_code::internal;
        what.message = "the reply to the authentication is not etcd's";
    }
    const bool off = what.code == rpc_code::failed_precondition &&
                     what.message.find("authentication is not enabled") != std::string::npos;
    if (off) {
        what = {};
    }
    std::vector<token_waiter> waiters;
    {
        const std::lock_guard lock(mutex_);
        token_ = token;
        auth_off_ = off;
        authenticating_ = false;
        waiters.swap(token_waiters_);
    }
    what.body.clear();
    for (const token_waiter& then : waiters) {
        then(what);
    }
}

std::shared_ptr<stream> grpc_transport::open(const char* method, bool needs_leader, stream_events events) {
    const std::shared_ptr<grpc_stream> one(new grpc_stream(*this, method, needs_leader, std::move(events)),
                                           [](grpc_stream* last) {
                                               take_over(last);
                                               delete last;
                                           });
    if (!enter(one)) {
        one->fail({rpc_code::cancelled, "the store is being closed", {}, name_of(current()), false});
        return one;
    }
    with_token(soon(), [this, one](const outcome& failure) {
        if (!failure.ok()) {
            one->fail(failure);
            leave(one);
            return;
        }
        std::string token;
        static_cast<void>(token_for(token)); // Where it has gone again, the server says so to the stream.
        one->begin(token);
    });
    return one;
}

std::unique_ptr<transport> transport::make(const settings& how) {
    return std::make_unique<grpc_transport>(how);
}

bool transport::inside_callback() noexcept {
    return callback_mark::inside_one();
}

void transport::mark_own_thread() noexcept {
    callback_mark::mark_thread();
}

} // namespace holdfast::etcd
