// The faces: mutex, shared_mutex and semaphore.
//
// All objects here may be shared by threads, and copied: copies name the same resource. Each acquisition is a
// claim of its own in the line, first come, first served among all processes. Nothing here is recursive:
// acquiring a mutex twice from one thread waits for itself. Durations and time points of any size are taken
// without overflow: hours::max() waits for as long as it takes.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>

#include <holdfast/async.hpp>
#include <holdfast/current.hpp>
#include <holdfast/duration.hpp>
#include <holdfast/held.hpp>
#include <holdfast/store.hpp>

namespace holdfast {

namespace core {
class client;
class lockable;
class resource;
struct inside;
} // namespace core

/// What mutex and shared_mutex have in common: exclusive access to a name.
///
///   state    | call                    | result
///   ---------+-------------------------+---------------------------------------------------------------------
///   free     | acquire, try_*, lock    | held, one round trip
///   taken    | acquire, lock           | waits in line
///   taken    | try_acquire, try_lock   | busy / false, and no trace in the line
///   held     | release, unlock         | the next in line holds
///   lost     | unlock                  | takes the lost hold of this object first, never one still valid
///
/// Two ways in. acquire() gives a handle, which says what became of the hold. lock() is for std::scoped_lock
/// and std::unique_lock: the hold is kept inside the object until unlock(), and current() shows it. Copies of
/// an object keep their holds together.
class exclusive_access {
    friend struct core::inside;

  public:
    /// Waits in line until it holds, the stop_token fires, or the store stays unreachable for
    /// options::op_timeout. One round trip when free; one message when handed over. Errors: cancelled,
    /// unavailable, unauthorized, misuse (the name is used with another kind), unknown_outcome.
    result<held> acquire(std::stop_token stop = {});

    /// Holds at once, or busy; leaves no trace in the line when busy. Bounded by options::op_timeout. Errors:
    /// busy, and as of acquire.
    result<held> try_acquire();

    /// As acquire, but timed_out once the duration has passed, which is also how long an unreachable store is
    /// put up with. A duration of zero or less is try_acquire with timed_out for busy.
    template <typename Rep, typename Period>
    result<held> try_acquire_for(std::chrono::duration<Rep, Period> duration, std::stop_token stop = {}) {
        return acquire_within(detail::saturated(duration), std::move(stop));
    }

    /// As try_acquire_for, until the instant on any clock; the remaining time is taken once, at the call.
    template <typename Clock, typename Duration>
    result<held> try_acquire_until(std::chrono::time_point<Clock, Duration> until,
                                   std::stop_token stop = {}) {
        return acquire_within(detail::time_left(until), std::move(stop));
    }

    /// Acquires without a thread that waits: `done(result<held>)` is called once, on the library's thread.
    /// Errors as of acquire, and busy or timed_out by the options. See <holdfast/async.hpp>.
    template <typename Done>
    void async_acquire(acquire_options how, Done done) {
        start(std::move(how), std::make_unique<core::completion_of<result<held>, Done>>(std::move(done)));
    }
    /// The same in a coroutine: `auto outcome = co_await face.acquire_async();`
    acquire_awaitable acquire_async(std::stop_token stop = {});
    /// See try_acquire_for.
    template <typename Rep, typename Period>
    acquire_awaitable acquire_async_for(std::chrono::duration<Rep, Period> duration,
                                        std::stop_token stop = {}) {
        return awaitable_within(detail::saturated(duration), std::move(stop));
    }
    /// See try_acquire.
    acquire_awaitable try_acquire_async();

    /// Lockable: acquire() kept inside this object until unlock(). Throws std::system_error.
    void lock();
    /// Lockable: false only for busy; throws std::system_error for everything else.
    bool try_lock();
    /// TimedLockable: false only for timed_out and busy; throws std::system_error for everything else.
    template <typename Rep, typename Period>
    bool try_lock_for(std::chrono::duration<Rep, Period> duration) {
        return lock_within(detail::saturated(duration));
    }
    /// As try_lock_for, until the instant on any clock; the remaining time is taken once, at the call.
    template <typename Clock, typename Duration>
    bool try_lock_until(std::chrono::time_point<Clock, Duration> until) {
        return lock_within(detail::time_left(until));
    }
    /// Ends one hold of this object that lock() or try_lock*() took: a lost one first, else the oldest.
    /// Returns within options::release_timeout; what the store has not confirmed by then is tried again in
    /// the background, until the lease ends. Without such a hold it does nothing.
    void unlock() noexcept;

    /// The hold that lock() or try_lock*() took last and that is not unlocked yet; a view of nothing when
    /// there is none. No round trip. Threads that share the object see one another's: where a lost hold of
    /// one thread may stand beside the next holder's, use acquire(), whose handle is the thread's own.
    current_hold current() const;

    /// What it locks.
    const resource_name& name() const noexcept;

    /// @cond
  protected:
    explicit exclusive_access(std::shared_ptr<core::lockable> state) noexcept : state_(std::move(state)) {}
    exclusive_access(const exclusive_access&) = default;
    exclusive_access(exclusive_access&&) = default;
    exclusive_access& operator=(const exclusive_access&) = default;
    exclusive_access& operator=(exclusive_access&&) = default;
    ~exclusive_access() = default;

    result<held> acquire_within(std::chrono::nanoseconds duration, std::stop_token stop);
    bool lock_within(std::chrono::nanoseconds duration);
    void start(acquire_options how, std::unique_ptr<core::completion<result<held>>> done);
    acquire_awaitable awaitable_within(std::chrono::nanoseconds duration, std::stop_token stop);

    std::shared_ptr<core::lockable> state_;
    /// @endcond
};

/// Exclusive access to a name. Lockable and TimedLockable; see exclusive_access for its states.
class mutex final : public exclusive_access {
  public:
    /// For locks::mutex.
    explicit mutex(std::shared_ptr<core::lockable> state) noexcept : exclusive_access(std::move(state)) {}
};

/// Exclusive access for one, or shared access for many readers. SharedTimedLockable. It is the same lock as
/// the mutex of its name: the exclusive form here and there exclude each other.
///
/// First come, first served among readers and writers alike: readers that stand together in line hold
/// together, and a reader behind a waiting writer waits for it. So nobody starves. A reader cannot become a
/// writer: acquire() by whoever holds shared access waits for itself.
///
///   state           | acquire, lock   | acquire_shared, lock_shared | try_* forms
///   ----------------+-----------------+-----------------------------+------------------------------------
///   free            | held            | held                        | held
///   readers only    | waits in line   | held                        | exclusive: busy; shared: held
///   readers, queue  | waits in line   | waits in line               | busy
///   a writer        | waits in line   | waits in line               | busy
///   lost            | as exclusive_access; the two kinds of kept holds stay apart
class shared_mutex final : public exclusive_access {
  public:
    /// For locks::shared_mutex.
    explicit shared_mutex(std::shared_ptr<core::lockable> state) noexcept
        : exclusive_access(std::move(state)) {}

    /// Waits in line for shared access; round trips and errors as of acquire. The token of a shared hold is
    /// unique and rises, but guards refuse it: it fences nothing.
    result<held> acquire_shared(std::stop_token stop = {});
    /// See try_acquire. busy also when a writer waits.
    result<held> try_acquire_shared();
    /// See try_acquire_for.
    template <typename Rep, typename Period>
    result<held> try_acquire_shared_for(std::chrono::duration<Rep, Period> duration,
                                        std::stop_token stop = {}) {
        return acquire_shared_within(detail::saturated(duration), std::move(stop));
    }
    /// See try_acquire_until.
    template <typename Clock, typename Duration>
    result<held> try_acquire_shared_until(std::chrono::time_point<Clock, Duration> until,
                                          std::stop_token stop = {}) {
        return acquire_shared_within(detail::time_left(until), std::move(stop));
    }

    /// See async_acquire.
    template <typename Done>
    void async_acquire_shared(acquire_options how, Done done) {
        start_shared(std::move(how),
                     std::make_unique<core::completion_of<result<held>, Done>>(std::move(done)));
    }
    /// See acquire_async.
    acquire_awaitable acquire_shared_async(std::stop_token stop = {});
    /// See acquire_async_for.
    template <typename Rep, typename Period>
    acquire_awaitable acquire_shared_async_for(std::chrono::duration<Rep, Period> duration,
                                               std::stop_token stop = {}) {
        return shared_awaitable_within(detail::saturated(duration), std::move(stop));
    }
    /// See try_acquire_async.
    acquire_awaitable try_acquire_shared_async();

    /// SharedLockable: acquire_shared() kept inside this object until unlock_shared(). Throws
    /// std::system_error.
    void lock_shared();
    /// SharedLockable: false only for busy; throws std::system_error for everything else.
    bool try_lock_shared();
    /// SharedTimedLockable: false only for timed_out and busy; throws std::system_error for everything else.
    template <typename Rep, typename Period>
    bool try_lock_shared_for(std::chrono::duration<Rep, Period> duration) {
        return lock_shared_within(detail::saturated(duration));
    }
    /// As try_lock_shared_for, until the instant on any clock.
    template <typename Clock, typename Duration>
    bool try_lock_shared_until(std::chrono::time_point<Clock, Duration> until) {
        return lock_shared_within(detail::time_left(until));
    }
    /// Ends one hold that lock_shared() or try_lock_shared*() took; otherwise as unlock. Holds of lock() are
    /// not touched.
    void unlock_shared() noexcept;

    /// As current, for the holds of lock_shared() and try_lock_shared*().
    current_hold current_shared() const;

  private:
    result<held> acquire_shared_within(std::chrono::nanoseconds duration, std::stop_token stop);
    bool lock_shared_within(std::chrono::nanoseconds duration);
    void start_shared(acquire_options how, std::unique_ptr<core::completion<result<held>>> done);
    acquire_awaitable shared_awaitable_within(std::chrono::nanoseconds duration, std::stop_token stop);
};

/// A number of permits that all processes share. Every user of one name must ask for the same number of
/// permits; another number is refused with misuse while the line is not empty.
///
///   state                    | call                    | result
///   -------------------------+-------------------------+-----------------------------------------------
///   enough free, no queue    | acquire, try_acquire    | held, one round trip
///   too few free, or a queue | acquire                 | waits in line, also if it would fit
///   too few free, or a queue | try_acquire             | busy, and no trace in the line
///   held                     | release                 | as many of those next in line hold as fit
///   lost                     | release                 | reports lost; its permits have been free since
class semaphore {
    friend struct core::inside;

  public:
    /// For locks::semaphore.
    explicit semaphore(std::shared_ptr<core::resource> state) noexcept : state_(std::move(state)) {}

    /// Waits in line for `permits` (1..capacity) at once; see exclusive_access::acquire. misuse when permits
    /// is out of range.
    result<held> acquire(std::uint32_t permits = 1, std::stop_token stop = {});
    /// See exclusive_access::try_acquire.
    result<held> try_acquire(std::uint32_t permits = 1);
    /// See exclusive_access::try_acquire_for.
    template <typename Rep, typename Period>
    result<held> try_acquire_for(std::uint32_t permits, std::chrono::duration<Rep, Period> duration,
                                 std::stop_token stop = {}) {
        return acquire_within(permits, detail::saturated(duration), std::move(stop));
    }
    /// See exclusive_access::try_acquire_until.
    template <typename Clock, typename Duration>
    result<held> try_acquire_until(std::uint32_t permits, std::chrono::time_point<Clock, Duration> until,
                                   std::stop_token stop = {}) {
        return acquire_within(permits, detail::time_left(until), std::move(stop));
    }

    /// See exclusive_access::async_acquire.
    template <typename Done>
    void async_acquire(std::uint32_t permits, acquire_options how, Done done) {
        start(permits, std::move(how),
              std::make_unique<core::completion_of<result<held>, Done>>(std::move(done)));
    }
    /// See exclusive_access::acquire_async.
    acquire_awaitable acquire_async(std::uint32_t permits = 1, std::stop_token stop = {});
    /// See exclusive_access::acquire_async_for.
    template <typename Rep, typename Period>
    acquire_awaitable acquire_async_for(std::uint32_t permits, std::chrono::duration<Rep, Period> duration,
                                        std::stop_token stop = {}) {
        return awaitable_within(permits, detail::saturated(duration), std::move(stop));
    }
    /// See exclusive_access::try_acquire_async.
    acquire_awaitable try_acquire_async(std::uint32_t permits = 1);

    /// What it counts permits of.
    const resource_name& name() const noexcept;
    /// The number of permits.
    std::uint32_t capacity() const noexcept;

  private:
    result<held> acquire_within(std::uint32_t permits, std::chrono::nanoseconds duration,
                                std::stop_token stop);
    void start(std::uint32_t permits, acquire_options how,
               std::unique_ptr<core::completion<result<held>>> done);
    acquire_awaitable awaitable_within(std::uint32_t permits, std::chrono::nanoseconds duration,
                                       std::stop_token stop);
    std::shared_ptr<core::resource> state_;
};

} // namespace holdfast
