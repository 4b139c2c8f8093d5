// The gRPC side of rpc.hpp: its transport and its streams. Only rpc.cpp and rpc_stream.cpp include it,
// because gRPC's headers are the slowest to compile of all that we use. They give gRPC tickets
// (rpc_loop.hpp) and act on what becomes of them, on the thread that leads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <vector>

#include <signal.h>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/async_unary_call.h>
#include <grpcpp/support/byte_buffer.h>

#include "grpc_time.hpp"
#include "rpc.hpp"
#include "rpc_loop.hpp"
#include "tsan_words.hpp"

#include "core/boottime.hpp"

namespace holdfast::etcd {

/// Drops a reference that may be the last where ThreadSanitizer sees the count: the other owners are
/// instrumented.
void let_go(std::shared_ptr<void> last);

using generic_stub = grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer>;

// gRPC starts threads whenever it likes, and they inherit the mask of the thread that calls it: signals are
// the program's business, so none may land on them.
class quiet_scope {
  public:
    quiet_scope() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~quiet_scope() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    quiet_scope(const quiet_scope&) = delete;
    quiet_scope& operator=(const quiet_scope&) = delete;

  private:
    sigset_t before_{};
};

grpc::ByteBuffer to_buffer(const std::string& bytes);
std::string to_string(const grpc::ByteBuffer& buffer);
/// True when it is certain that the call never reached a connection.
bool surely_not_sent(const grpc::Status& status);
std::shared_ptr<grpc::Channel> make_channel(const settings& how, const std::string& endpoint);
/// Before gRPC's first use in the process.
void prefer_system_resolver(const std::vector<std::string>& endpoints);
/// gRPC stays until the process ends.
void keep_grpc();

// Something that can be cancelled and that the transport waits for.
class in_flight {
  public:
    virtual ~in_flight() = default;
    virtual void cancel_now() = 0;
    /// Ends soon, and somebody has to lead until then.
    virtual bool is_brief() const = 0;
};

struct unary;

class grpc_transport final : public transport {
  public:
    explicit grpc_transport(const settings& how) : how_(before_grpc(how)), channels_(how.endpoints.size()) {}
    ~grpc_transport() override;

    void call(const char* method, std::string request, instant deadline, repeat again,
              completion done) override;
    std::shared_ptr<stream> open(const char* method, bool needs_leader, stream_events events) override;
    void drive(parking_place& place, instant until) override { loop_.drive(place, until); }
    void wake(parking_place& place) noexcept override { loop_.wake(place); }
    void avoid_endpoint() override { avoid(current_.load()); }
    void drop_token() override {
        const std::lock_guard lock(mutex_);
        token_.clear();
        auth_off_ = false;
    }

    grpc::CompletionQueue* queue() noexcept { return loop_.queue(); }
    void finished(const std::shared_ptr<unary>& one, const grpc::Status& status);

    void callback_begins();
    void callback_ends();
    std::shared_ptr<grpc::Channel> channel(std::size_t endpoint);
    const std::string& name_of(std::size_t endpoint) const { return how_.endpoints[endpoint]; }
    std::size_t current() const { return current_.load(); }
    void avoid(std::size_t endpoint) {
        current_.compare_exchange_strong(endpoint, (endpoint + 1) % how_.endpoints.size());
    }

    // False when the transport is closing: then nothing may be started.
    bool enter(const std::shared_ptr<in_flight>& one);
    void leave(const std::shared_ptr<in_flight>& one);

    using token_waiter = std::function<void(const outcome& failure)>;
    // Sets the token to send; false when there has to be one, and is none.
    bool token_for(std::string& token);
    // Calls `then` when token_for() has something to say, or with the reason why it will not.
    void with_token(instant deadline, token_waiter then);
    instant soon() const { return boottime() + how_.op_timeout; }

  private:
    // What has to be done before the loop is made, which is gRPC's first user.
    static const settings& before_grpc(const settings& how) {
        prefer_system_resolver(how.endpoints);
        keep_grpc();
        return how;
    }
    void start(const std::shared_ptr<unary>& one);
    void finish(const std::shared_ptr<unary>& one, outcome what);
    void authenticate(instant deadline);
    void authenticated(outcome what);

    const settings how_;
    call_loop loop_; // Outlives all that it is told of.
    std::atomic<std::size_t> current_{0};
    std::atomic<bool> answered_{false};

    std::mutex mutex_;
    std::condition_variable empty_;
    std::vector<std::shared_ptr<grpc::Channel>> channels_;
    std::set<std::shared_ptr<in_flight>> running_;
    int callbacks_ = 0;
    bool closing_ = false;
    std::string token_;
    bool auth_off_ = false; // The server takes everybody, and a token would be an error.
    bool authenticating_ = false;
    std::vector<token_waiter> token_waiters_;
};

// Stands around everything that runs on gRPC's threads: the transport, and with it the last reference to a
// channel, must not go away inside of it.
class callback_mark {
  public:
    explicit callback_mark(grpc_transport& owner);
    ~callback_mark();
    callback_mark(const callback_mark&) = delete;
    callback_mark& operator=(const callback_mark&) = delete;
    static bool inside_one() noexcept;
    static void mark_thread() noexcept;

  private:
    grpc_transport& owner_;
};

class grpc_stream final : public stream, public in_flight, public std::enable_shared_from_this<grpc_stream> {
  public:
    grpc_stream(grpc_transport& owner, const char* method, bool needs_leader, stream_events events)
        : owner_(owner), method_(method), endpoint_(owner.current()), events_(std::move(events)) {
        if (needs_leader) {
            context_->AddMetadata("hasleader", "true");
        }
    }

    void begin(const std::string& token);
    void fail(outcome why);
    void queue(std::string bytes) override;
    void flush() override;
    void cancel() override { cancel_now(); }
    void cancel_now() override;
    bool is_brief() const override { return false; }

  private:
    // One kind of request to gRPC; each is under way once at most.
    struct part final : ticket {
        part(grpc_stream& of, void (grpc_stream::*then)(bool)) : of(of), then(then) {}
        void ended(bool ok) override;
        grpc_stream& of;
        void (grpc_stream::*const then)(bool);
    };

    void on_started(bool ok);
    void on_read(bool ok);
    void on_written(bool ok);
    void on_finished(bool ok);
    void write_next();
    void read_next();
    void finish_if_idle();
    using reader_writer = grpc::ClientAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;

    grpc_transport& owner_;
    const char* method_;
    const std::size_t endpoint_;
    stream_events events_;
    std::unique_ptr<grpc::ClientContext> context_ = std::make_unique<grpc::ClientContext>();
    grpc::ByteBuffer in_;
    grpc::ByteBuffer out_;
    grpc::Status status_;
    std::unique_ptr<reader_writer> calls_;
    part started_part_{*this, &grpc_stream::on_started};
    part read_part_{*this, &grpc_stream::on_read};
    part write_part_{*this, &grpc_stream::on_written};
    part finish_part_{*this, &grpc_stream::on_finished};
    std::shared_ptr<grpc_stream> self_; // Until on_finished.

    std::mutex mutex_;
    std::deque<std::string> queue_;
    bool started_ = false;
    bool writing_ = false;
    bool ended_ = false; // The server's side is closed; nothing more is written.
    bool finishing_ = false;
};

} // namespace holdfast::etcd
