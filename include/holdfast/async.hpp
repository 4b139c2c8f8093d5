// Acquiring and releasing without a thread that waits: by callback, or by co_await.
//
//     pool.async_acquire({.limit = 5s}, [](holdfast::result<holdfast::held> outcome) { ... });
//     auto outcome = co_await pool.acquire_async_for(5s, stop);
//
// Completions come on one thread of the library's per connect(), one after another, never inside the call
// that starts the operation, except in a forked child: that thread is the parent's, so what the child
// inherited completes inside the call, with misuse (a release with lost). Whoever completes there must
// not block for long: others wait for it. In particular prefer release_async() to a destructor there, which
// waits for a round trip. An exception that leaves a completion ends the program.
//
// An operation keeps all that it needs alive: the face and its locks object may go. It ends with its
// completion and not before; to end it early, use the stop_token: it then completes with cancelled, or with
// the hold if that was granted first. <holdfast/asio.hpp> completes on an Asio executor instead.
#pragma once

#include <chrono>
#include <concepts>
#include <coroutine>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include <holdfast/error.hpp>
#include <holdfast/held.hpp>

namespace holdfast {

/// How to acquire. The default waits until it holds.
/// Inside a co_await expression name it first: GCC before 13 destroys a braced temporary there twice.
struct acquire_options {
    /// busy instead of waiting, and no trace in the line; `limit` then counts for nothing.
    bool only_if_free = false;
    /// timed_out once this has passed since the call; none: no limit. Zero or less: as only_if_free, with
    /// timed_out for busy.
    std::optional<std::chrono::nanoseconds> limit = {};
    /// cancelled once this fires. Per operation.
    std::stop_token stop = {};
};

namespace core {

class resource;

/// A completion with its type forgotten. Called once at most.
template <typename Outcome>
class completion {
  public:
    completion() = default;
    virtual ~completion() = default;
    completion(const completion&) = delete;
    completion& operator=(const completion&) = delete;
    virtual void complete(Outcome outcome) noexcept = 0;
};

template <typename Outcome, typename Done>
class completion_of final : public completion<Outcome> {
  public:
    explicit completion_of(Done done) : done_(std::move(done)) {}
    void complete(Outcome outcome) noexcept override { done_(std::move(outcome)); }

  private:
    Done done_;
};

/// Starts an acquisition that completes on the client's runner.
void start_acquire(std::shared_ptr<resource> from, std::uint32_t weight, acquire_options how,
                   std::unique_ptr<completion<result<held>>> done);

/// Starts a release that completes on the client's runner.
void start_release(held taken, std::unique_ptr<completion<result<void>>> done);

} // namespace core

/// What acquire_async() returns: to be awaited once, where it stands. `co_await` gives a result<held>; errors
/// are those of acquire(). The coroutine goes on on the library's thread. It must not be destroyed while it
/// is suspended here: stop the operation first.
class [[nodiscard]] acquire_awaitable {
  public:
    /// For the faces.
    acquire_awaitable(std::shared_ptr<core::resource> from, std::uint32_t weight, acquire_options how)
        : from_(std::move(from)), weight_(weight), how_(std::move(how)) {}

    /// @cond
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
        const auto done = [this, waiting](result<held> outcome) {
            outcome_.emplace(std::move(outcome));
            waiting.resume();
        };
        core::start_acquire(std::move(from_), weight_, std::move(how_),
                            std::make_unique<core::completion_of<result<held>, decltype(done)>>(done));
    }
    result<held> await_resume() { return std::move(*outcome_); }
    /// @endcond

  private:
    std::shared_ptr<core::resource> from_;
    std::uint32_t weight_;
    acquire_options how_;
    std::optional<result<held>> outcome_;
};

/// What release_async() returns: to be awaited once, where it stands. `co_await` gives what held::release()
/// returns. If it is never awaited the hold is released by its destructor.
class [[nodiscard]] release_awaitable {
  public:
    /// See release_async().
    explicit release_awaitable(held taken) noexcept : taken_(std::move(taken)) {}

    /// @cond
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
        const auto done = [this, waiting](result<void> outcome) {
            outcome_.emplace(std::move(outcome));
            waiting.resume();
        };
        core::start_release(std::move(taken_),
                            std::make_unique<core::completion_of<result<void>, decltype(done)>>(done));
    }
    result<void> await_resume() { return std::move(*outcome_); }
    /// @endcond

  private:
    held taken_;
    std::optional<result<void>> outcome_;
};

/// Releases without waiting: `done(result<void>)` is called once the store has confirmed, or release_timeout
/// has passed; see held::release(). One round trip at most.
template <std::invocable<result<void>> Done>
void async_release(held taken, Done done) {
    core::start_release(std::move(taken),
                        std::make_unique<core::completion_of<result<void>, Done>>(std::move(done)));
}

/// Releases in a coroutine: `co_await holdfast::release_async(std::move(held))`.
inline release_awaitable release_async(held taken) noexcept {
    return release_awaitable(std::move(taken));
}

} // namespace holdfast
