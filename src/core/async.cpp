// Acquisitions and releases that nobody waits for: driven by the client's runner.
#include <holdfast/async.hpp>
#include <holdfast/locks.hpp>

#include "acquire.hpp"
#include "acquisition.hpp"
#include "client.hpp"
#include "face.hpp"
#include "hold.hpp"
#include "inside.hpp"
#include "runner.hpp"

namespace holdfast {
namespace core {
namespace {

/// What both have in common: it lives until it has completed, and runs again when it is woken.
class operation : public wakeable, public runner::task, public std::enable_shared_from_this<operation> {
  public:
    explicit operation(std::shared_ptr<runner> on) : runner_(std::move(on)) {}

    void start() {
        runner_->prepare();
        myself_ = shared_from_this();
        begin();
        wake();
    }

    void wake() noexcept override {
        if (auto self = weak_from_this().lock()) {
            runner_->ready(std::move(self));
        }
    }

  protected:
    /// What can only be done once somebody owns it.
    virtual void begin() = 0;

    /// For run() to return: nothing more will come. Whoever calls run() still holds a reference.
    instant over() noexcept {
        myself_.reset();
        return instant::max();
    }

  private:
    const std::shared_ptr<runner> runner_;
    std::shared_ptr<operation> myself_;
};

patience patience_of(const acquire_options& how) {
    const bool at_once = how.only_if_free || (how.limit && *how.limit <= std::chrono::nanoseconds::zero());
    return {.only_if_free = at_once,
            .limit = at_once ? std::nullopt : how.limit,
            .stop = how.stop,
            .proposal = {}};
}

class async_acquisition final : public operation {
  public:
    async_acquisition(std::shared_ptr<resource> from, std::uint32_t weight, const acquire_options& how,
                      std::unique_ptr<completion<result<held>>> done)
        : operation(from->client().terms().callbacks), from_(std::move(from)),
          running_(std::in_place, *from_, weight, patience_of(how)), busy_is_timed_out_(!how.only_if_free),
          done_(std::move(done)) {}

    instant run() noexcept override {
        if (!on_stop_ && done_) {
            on_stop_.emplace(running_->stop(), waker{this}); // Here, where it is reset too.
        }
        while (done_) {
            switch (running_->go_on()) {
            case acquisition::step::done:
                complete();
                return over();
            case acquisition::step::needs_session:
                if (auto answer = take_answer()) {
                    running_->give(std::move(*answer));
                    break;
                }
                if (from_->client().now() >= running_->give_up()) {
                    running_->give(error(errc::unavailable, "no session was opened in time"));
                    break;
                }
                ask_for_session();
                return running_->give_up();
            case acquisition::step::waits:
            case acquisition::step::pauses:
                return running_->until();
            }
        }
        return instant::max(); // Woken once more after its end.
    }

  private:
    struct waker {
        operation* woken;
        void operator()() const noexcept { woken->wake(); }
    };

    void begin() override { running_->hears(weak_from_this()); }

    void complete() {
        on_stop_.reset(); // The completion may well be what the token's owner waits for.
        auto outcome = running_->take_outcome();
        if (busy_is_timed_out_ && !outcome && outcome.error().code() == errc::busy) {
            outcome = error(errc::timed_out, outcome.error().message());
        }
        // Whoever still wakes us may be the last to let go of us, on a thread of the store's or the
        // session's: nothing that has to be ended may hang on that.
        running_.reset();
        const auto from = std::exchange(from_, nullptr);
        std::exchange(done_, nullptr)->complete(std::move(outcome));
    }

    void ask_for_session() {
        if (std::exchange(asked_, true)) {
            return;
        }
        from_->client().session_in_background(
            running_->give_up(), [weak = weak_from_this()](result<std::shared_ptr<session>> opened) {
                if (const auto self = std::static_pointer_cast<async_acquisition>(weak.lock())) {
                    {
                        const latch_guard locked(self->guard_);
                        self->answer_ = std::make_unique<result<std::shared_ptr<session>>>(std::move(opened));
                    }
                    self->wake();
                }
            });
    }

    std::unique_ptr<result<std::shared_ptr<session>>> take_answer() {
        const latch_guard locked(guard_);
        auto answer = std::exchange(answer_, nullptr);
        if (answer) {
            asked_ = false;
        }
        return answer;
    }

    std::shared_ptr<resource> from_;
    std::optional<acquisition> running_;
    const bool busy_is_timed_out_; ///< Who gave a limit, of zero or less even, is told timed_out.
    std::unique_ptr<completion<result<held>>> done_;
    bool asked_ = false;
    latch guard_;
    /// Hardly ever anything: there may be ten thousand of us, which wait for something else.
    std::unique_ptr<result<std::shared_ptr<session>>> answer_ GUARDED_BY(guard_);
    std::optional<std::stop_callback<waker>> on_stop_; ///< The last member: a callback may still be running.
};

class async_departure final : public operation {
  public:
    async_departure(std::shared_ptr<hold> leaving, std::shared_ptr<runner> on, clock_source source,
                    std::unique_ptr<completion<result<void>>> done)
        : operation(std::move(on)), leaving_(std::move(leaving)), clock_(source), done_(std::move(done)) {}

    instant run() noexcept override {
        if (!done_) {
            return instant::max();
        }
        if (!give_up_) {
            give_up_ = leaving_->begin_release();
        }
        if (!leaving_->release_ended(now(clock_) >= *give_up_)) {
            return *give_up_;
        }
        std::exchange(done_, nullptr)->complete(leaving_->finish_release());
        return over();
    }

  private:
    void begin() override { leaving_->wakes(weak_from_this()); }

    const std::shared_ptr<hold> leaving_;
    const clock_source clock_;
    std::unique_ptr<completion<result<void>>> done_;
    std::optional<instant> give_up_; ///< Nothing has been sent before.
};

/// An operation that needs no waiting completes by the runner all the same: never inside the call.
template <typename Outcome>
class foregone final : public operation {
  public:
    foregone(std::shared_ptr<runner> on, Outcome outcome, std::unique_ptr<completion<Outcome>> done)
        : operation(std::move(on)), outcome_(std::move(outcome)), done_(std::move(done)) {}

    instant run() noexcept override {
        if (done_) {
            std::exchange(done_, nullptr)->complete(std::move(outcome_));
            return over();
        }
        return instant::max();
    }

  private:
    void begin() override {}

    Outcome outcome_;
    std::unique_ptr<completion<Outcome>> done_;
};

} // namespace

void start_acquire(std::shared_ptr<resource> from, std::uint32_t weight, acquire_options how,
                   std::unique_ptr<completion<result<held>>> done) {
    client& in = from->client();
    if (in.forked()) {
        return done->complete(in.inherited()); // The runner is a thread of the parent's.
    }
    if (const auto fits = check_weight(*from, weight); !fits) {
        return std::make_shared<foregone<result<held>>>(in.terms().callbacks, fits.error(), std::move(done))
            ->start();
    }
    if (from->in_turns() != nullptr) {
        return std::make_shared<foregone<result<held>>>(
                   in.terms().callbacks,
                   error(errc::misuse, from->shown() +
                                           " is handed over among threads (local_hand_over): only "
                                           "blocking calls can acquire it"),
                   std::move(done))
            ->start();
    }
    std::make_shared<async_acquisition>(std::move(from), weight, how, std::move(done))->start();
}

void start_release(held taken, std::unique_ptr<completion<result<void>>> done) {
    const std::shared_ptr<hold>& state = inside::of(taken);
    if (!state || state->inherited()) {
        return done->complete(taken.release());
    }
    const session_terms& terms = state->terms();
    terms.callbacks->prepare(); // What it may throw leaves the hold in its handle.
    const auto runner = terms.callbacks;
    const auto clock = terms.traits.clock;
    std::make_shared<async_departure>(inside::take(taken), runner, clock, std::move(done))->start();
}

} // namespace core

// What the faces ask of it.

namespace {

constexpr std::uint32_t reader = 1;

acquire_options options_of(std::stop_token stop) {
    return {.only_if_free = false, .limit = {}, .stop = std::move(stop)};
}

acquire_options options_of(std::chrono::nanoseconds limit, std::stop_token stop) {
    return {.only_if_free = false, .limit = limit, .stop = std::move(stop)};
}

acquire_options options_of_a_try() {
    return {.only_if_free = true, .limit = {}, .stop = {}};
}

} // namespace

void exclusive_access::start(acquire_options how, std::unique_ptr<core::completion<result<held>>> done) {
    core::start_acquire(state_, lock_capacity, std::move(how), std::move(done));
}

acquire_awaitable exclusive_access::acquire_async(std::stop_token stop) {
    return {state_, lock_capacity, options_of(std::move(stop))};
}

acquire_awaitable exclusive_access::awaitable_within(std::chrono::nanoseconds duration,
                                                     std::stop_token stop) {
    return {state_, lock_capacity, options_of(duration, std::move(stop))};
}

acquire_awaitable exclusive_access::try_acquire_async() {
    return {state_, lock_capacity, options_of_a_try()};
}

void shared_mutex::start_shared(acquire_options how, std::unique_ptr<core::completion<result<held>>> done) {
    core::start_acquire(state_, reader, std::move(how), std::move(done));
}

acquire_awaitable shared_mutex::acquire_shared_async(std::stop_token stop) {
    return {state_, reader, options_of(std::move(stop))};
}

acquire_awaitable shared_mutex::shared_awaitable_within(std::chrono::nanoseconds duration,
                                                        std::stop_token stop) {
    return {state_, reader, options_of(duration, std::move(stop))};
}

acquire_awaitable shared_mutex::try_acquire_shared_async() {
    return {state_, reader, options_of_a_try()};
}

void semaphore::start(std::uint32_t permits, acquire_options how,
                      std::unique_ptr<core::completion<result<held>>> done) {
    core::start_acquire(state_, permits, std::move(how), std::move(done));
}

acquire_awaitable semaphore::acquire_async(std::uint32_t permits, std::stop_token stop) {
    return {state_, permits, options_of(std::move(stop))};
}

acquire_awaitable semaphore::awaitable_within(std::uint32_t permits, std::chrono::nanoseconds duration,
                                              std::stop_token stop) {
    return {state_, permits, options_of(duration, std::move(stop))};
}

acquire_awaitable semaphore::try_acquire_async(std::uint32_t permits) {
    return {state_, permits, options_of_a_try()};
}

} // namespace holdfast
