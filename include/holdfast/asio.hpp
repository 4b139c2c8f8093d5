// Optional: Holdfast's asynchronous operations with Boost.Asio's completion tokens.
//
//     const holdfast::acquire_options how{.limit = 5s};
//     auto outcome = co_await holdfast::async_acquire(pool, how, boost::asio::use_awaitable);
//
// (Name the options, or leave them out: GCC before 13 destroys a braced temporary inside a co_await
// expression twice.) The only public header that needs a third party's: Boost.Asio 1.81 or later, header
// only; include it where you include Asio already. The handler runs on its associated executor, as of any
// Asio operation; without one on the system executor. Work is outstanding there until then, so
// io_context::run() does not return early. Asio's per-operation cancellation (terminal, partial and total
// alike) ends a waiting acquire with cancelled, and so does acquire_options::stop.
#pragma once

#include <concepts>
#include <memory>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <holdfast/locks.hpp>

namespace holdfast {

namespace asio_detail {

/// A handler on its way: keeps its executor busy, and goes there with the outcome.
template <typename Handler, typename Outcome>
class journey {
  public:
    explicit journey(Handler handler)
        : work_(boost::asio::make_work_guard(boost::asio::get_associated_executor(handler))),
          handler_(std::move(handler)) {}

    void operator()(Outcome outcome) {
        // Kept until post() has returned, which touches the context also after the handler is in its queue:
        // run() may have called the handler by then, and its caller may end the context when nothing is left.
        const auto work = std::move(work_);
        boost::asio::post(work.get_executor(),
                          [handler = std::move(handler_), outcome = std::move(outcome)]() mutable {
                              std::move(handler)(std::move(outcome));
                          });
    }

  private:
    boost::asio::executor_work_guard<boost::asio::associated_executor_t<Handler>> work_;
    Handler handler_;
};

/// A stop_token that fires when the options' does, or when Asio cancels.
template <typename Handler>
std::stop_token stop_of(const Handler& handler, const std::stop_token& asked) {
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    if (!slot.is_connected()) {
        return asked;
    }
    struct both {
        explicit both(const std::stop_token& first) : forward(first, relay{&source}) {}
        struct relay {
            std::stop_source* to;
            void operator()() const noexcept { to->request_stop(); }
        };
        std::stop_source source;
        std::stop_callback<relay> forward;
    };
    auto joined = std::make_shared<both>(asked);
    auto token = joined->source.get_token();
    slot.assign([joined](boost::asio::cancellation_type) { joined->source.request_stop(); });
    return token;
}

template <typename Start, typename Token>
auto acquire(acquire_options how, Start start, Token&& token) {
    return boost::asio::async_initiate<Token, void(result<held>)>(
        [start = std::move(start)](auto handler, acquire_options options) mutable {
            options.stop = stop_of(handler, options.stop);
            start(std::move(options),
                  journey<std::decay_t<decltype(handler)>, result<held>>(std::move(handler)));
        },
        token, std::move(how));
}

} // namespace asio_detail

/// Acquires a mutex or shared_mutex exclusively. Completes with result<held>; errors as of acquire().
template <std::derived_from<exclusive_access> Face, typename Token>
auto async_acquire(Face face, acquire_options how, Token&& token) {
    return asio_detail::acquire(
        std::move(how),
        [face = std::move(face)](acquire_options options, auto done) mutable {
            face.async_acquire(std::move(options), std::move(done));
        },
        std::forward<Token>(token));
}

/// The same without options: waits until it holds, or is cancelled.
template <std::derived_from<exclusive_access> Face, typename Token>
auto async_acquire(Face face, Token&& token) {
    return async_acquire(std::move(face), acquire_options(), std::forward<Token>(token));
}

/// Acquires shared access. Completes with result<held>; errors as of acquire_shared().
template <typename Token>
auto async_acquire_shared(shared_mutex face, acquire_options how, Token&& token) {
    return asio_detail::acquire(
        std::move(how),
        [face = std::move(face)](acquire_options options, auto done) mutable {
            face.async_acquire_shared(std::move(options), std::move(done));
        },
        std::forward<Token>(token));
}

/// Acquires permits (1..capacity). Completes with result<held>; errors as of semaphore::acquire().
template <typename Token>
auto async_acquire(semaphore face, std::uint32_t permits, acquire_options how, Token&& token) {
    return asio_detail::acquire(
        std::move(how),
        [face = std::move(face), permits](acquire_options options, auto done) mutable {
            face.async_acquire(permits, std::move(options), std::move(done));
        },
        std::forward<Token>(token));
}

/// Releases without waiting. Completes with result<void>, as of held::release(); cannot be cancelled.
/// (async_release() takes plain callbacks; a handler that is bound to an executor is one too, hence the
/// name.)
template <typename Token>
auto async_release_via(held taken, Token&& token) {
    return boost::asio::async_initiate<Token, void(result<void>)>(
        [](auto handler, held leaving) {
            using handler_type = std::decay_t<decltype(handler)>;
            async_release(std::move(leaving),
                          asio_detail::journey<handler_type, result<void>>(std::move(handler)));
        },
        token, std::move(taken));
}

} // namespace holdfast
