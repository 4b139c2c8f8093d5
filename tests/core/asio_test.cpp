// Holdfast with Boost.Asio's completion tokens: on the right executor, cancellable, nothing lost.
#include <holdfast/asio.hpp>

#include <atomic>
#include <memory>
#include <thread>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <gtest/gtest.h>

#include <holdfast/holdfast.hpp>

#include "contract/reference_store.hpp"
#include "core/client.hpp"
#include "support/wait_for.hpp"

namespace asio = boost::asio;
using namespace holdfast;
using namespace std::chrono_literals;
using holdfast::testing::reference_engine;
using holdfast::testing::wait_for;

namespace {

struct with_asio : ::testing::Test {
    reference_engine engine;
    asio::io_context context;

    locks connect() { return locks(core::client::adopt(engine.connect(), "memory:", {.ttl = 10s}).value()); }
};

/// A context's executor that says how much was posted to it, and how many still keep it busy.
class noting_executor {
  public:
    struct notes {
        std::atomic<int> posted{0};
        std::atomic<int> working{0}; ///< Lowered when the context is not touched any more.
    };
    noting_executor(asio::io_context& to, notes& into) : to_(to.get_executor()), notes_(&into) {}

    asio::io_context& context() const noexcept { return to_.context(); }
    void on_work_started() const noexcept {
        ++notes_->working;
        to_.on_work_started();
    }
    void on_work_finished() const noexcept {
        to_.on_work_finished();
        --notes_->working;
    }
    template <typename Function, typename Allocator>
    void dispatch(Function&& what, const Allocator& with) const {
        post(std::forward<Function>(what), with);
    }
    template <typename Function, typename Allocator>
    void defer(Function&& what, const Allocator& with) const {
        post(std::forward<Function>(what), with);
    }
    template <typename Function, typename Allocator>
    void post(Function&& what, const Allocator& with) const {
        to_.post(std::forward<Function>(what), with);
        ++notes_->posted;
    }
    bool operator==(const noting_executor&) const noexcept = default;

  private:
    asio::io_context::executor_type to_;
    notes* notes_;
};

asio::awaitable<void> work(mutex face, int& done, bool& elsewhere, std::thread::id here) {
    auto outcome = co_await async_acquire(face, asio::use_awaitable);
    elsewhere = elsewhere || std::this_thread::get_id() != here || !outcome;
    const auto released = co_await async_release_via(std::move(*outcome), asio::use_awaitable);
    elsewhere = elsewhere || std::this_thread::get_id() != here || !released;
    ++done;
}

} // namespace

TEST_F(with_asio, coroutines_go_on_on_their_own_executor) {
    auto pool = connect().mutex("n");
    auto first = std::make_unique<held>(pool.acquire().value());
    int done = 0;
    bool elsewhere = false;
    for (int index = 0; index < 20; ++index) {
        asio::co_spawn(context, work(pool, done, elsewhere, std::this_thread::get_id()), asio::detached);
    }
    const std::jthread releaser([&] {
        EXPECT_TRUE(wait_for([&] { return engine.claims_in("n") == 21; }, 15s));
        first.reset();
    });
    context.run(); // Returns only when all have ended: they are outstanding work.
    EXPECT_EQ(done, 20);
    EXPECT_FALSE(elsewhere);
    EXPECT_EQ(engine.claims_in("n"), 0U);
}

TEST_F(with_asio, a_future_brings_the_hold) {
    auto permits = connect().semaphore("n", 2);
    auto outcome = async_acquire(permits, 2, {}, asio::use_future).get();
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(permits.try_acquire().error().code(), errc::busy);
    auto shared = connect().shared_mutex("s");
    EXPECT_TRUE(async_acquire_shared(shared, {.limit = 5s}, asio::use_future).get());
}

TEST_F(with_asio, asios_cancellation_ends_a_wait_and_leaves_nothing_in_line) {
    auto pool = connect().mutex("n");
    const auto first = pool.acquire().value();
    asio::cancellation_signal cancel;
    std::optional<errc> came_to;
    async_acquire(pool, {},
                  asio::bind_cancellation_slot(cancel.slot(), asio::bind_executor(context, [&](auto outcome) {
                                                   came_to = outcome ? errc{} : outcome.error().code();
                                               })));
    ASSERT_TRUE(wait_for([&] { return engine.claims_in("n") == 2; }, 15s));
    cancel.emit(asio::cancellation_type::terminal);
    context.run();
    EXPECT_EQ(came_to, errc::cancelled);
    EXPECT_EQ(engine.claims_in("n"), 1U);
}

TEST_F(with_asio, a_hold_whose_handler_never_runs_is_released) {
    auto pool = connect().mutex("n");
    {
        asio::io_context gone;
        noting_executor::notes notes;
        async_acquire(pool, {}, asio::bind_executor(noting_executor(gone, notes), [](const result<held>&) {
                          FAIL() << "never run";
                      }));
        // As of any Asio operation: the context must be there for as long as somebody may post to it.
        ASSERT_TRUE(wait_for([&] { return notes.posted == 1 && notes.working == 0; }, 15s));
        EXPECT_EQ(engine.claims_in("n"), 1U);
    }
    EXPECT_TRUE(wait_for([&] { return engine.claims_in("n") == 0; }, 15s));
}
