// The holds that lock() takes and unlock() ends: they stay inside the object.
//
// Most objects keep one hold of a lane (grip.hpp) at a time, taken and given back by the same thread. That
// costs a few plain stores: the thread writes on its own grip that it is kept here, and `alone_` points to
// it. Everybody else (an unlock() on another thread, a second hold, current() asked for more than a token)
// takes the latch, announces himself in `crowded_`, lets every thread pass a barrier (barrier.hpp) and then
// gathers what the grips say into a list. So `alone_` is a hint: two threads may overwrite it when one of
// them has lost the lock before it came here, and nothing is forgotten.
//
//   who            | writes first        | barrier | then reads       | and then
//   ---------------+---------------------+---------+------------------+--------------------------------------
//   lock()         | grip: kept in this  | light   | crowded_, alone_ | both clear: alone_; else gathers
//   unlock()       | grip: leaving       | light   | crowded_, kept   | not crowded, still kept: it is ours
//   everybody else | crowded_            | heavy   | all grips        | takes those that are kept and not
//                  |                     |         |                  | leaving into the list
//
// Thread-safe. A forked child has none of its parent's holds, and waits for nobody's latch.
#pragma once

#include <atomic>
#include <vector>

#include <holdfast/held.hpp>

#include "annotations.hpp"
#include "barrier.hpp"
#include "fork.hpp"
#include "grip.hpp"

namespace holdfast::core {

class kept_holds {
  public:
    kept_holds() = default;
    kept_holds(const kept_holds&) = delete;
    kept_holds& operator=(const kept_holds&) = delete;
    ~kept_holds();
    /// Whether this is a forked child's copy.
    bool inherited() const noexcept { return forked_since(mark_); }

    void keep(held taken);
    /// The same for a hold by a lane that this thread has just acquired.
    void keep(grip& taken) {
        taken.kept.in.store(this, std::memory_order_release);
        light_barrier();
        if (!crowded_.load(std::memory_order_relaxed) && alone_.load(std::memory_order_relaxed) == nullptr) {
            alone_.store(&taken, std::memory_order_release);
            return;
        }
        keep_beside_others();
    }

    /// The only one, if this thread took it by a lane. Null: give_back().
    grip* give_back_alone() noexcept {
        grip* const one = alone_.load(std::memory_order_acquire);
        if (one == nullptr || !one->is_of_this_thread() || inherited()) {
            return nullptr;
        }
        one->kept.leaving.store(true, std::memory_order_relaxed);
        light_barrier();
        const bool ours =
            !crowded_.load(std::memory_order_acquire) && one->kept.in.load(std::memory_order_relaxed) == this;
        if (ours) {
            alone_.store(nullptr, std::memory_order_relaxed);
            one->kept.in.store(nullptr, std::memory_order_relaxed);
        }
        one->kept.leaving.store(false, std::memory_order_release);
        return ours ? one : nullptr;
    }
    /// A lost one first, so that what is still valid and in use is never ended; else the oldest. Empty when
    /// there is none.
    held give_back() noexcept;

    /// The token of the one kept last; 0 when there is none.
    token latest() const;
    /// Calls `ask` with the hold of this token, under the lock that keeps it from being released meanwhile,
    /// and returns its answer; nothing when it is not here any more.
    template <typename Ask>
    auto with(token wanted, const Ask& ask) const -> decltype(ask(std::declval<const held&>())) {
        const latch_guard locked(guard_);
        const crowd here(*this);
        for (const held& each : kept_) {
            if (each.token() == wanted) {
                return ask(each);
            }
        }
        return {};
    }

  private:
    /// Under the guard: while it lives no thread takes the short way.
    class crowd {
      public:
        explicit crowd(const kept_holds& in, bool look_everywhere = false) noexcept;
        ~crowd();
        crowd(const crowd&) = delete;
        crowd& operator=(const crowd&) = delete;

      private:
        const kept_holds& in_;
    };

    [[gnu::noinline]] void keep_beside_others();
    void gather() const REQUIRES(guard_);

    const std::uint64_t mark_ = process_mark();
    mutable std::atomic<grip*> alone_{nullptr};
    mutable std::atomic<bool> crowded_{false}; ///< Somebody looks, or kept_ is not empty. Under the guard.
    mutable latch guard_;
    mutable std::vector<held> kept_ GUARDED_BY(guard_); ///< In the order of their tokens.
};

} // namespace holdfast::core
