// What the faces have in common: the holds of lock(), and how their forms ask the acquire machine.
#pragma once

#include <atomic>
#include <vector>

#include <holdfast/locks.hpp>

#include "acquire.hpp"
#include "fork.hpp"
#include "grip.hpp"

namespace holdfast::core {

/// The holds that lock() took, until unlock(). Thread-safe. A forked child has none, and waits for nobody's
/// latch.
class kept_holds {
  public:
    kept_holds() = default;
    kept_holds(const kept_holds&) = delete;
    kept_holds& operator=(const kept_holds&) = delete;
    ~kept_holds();
    /// Whether this is a forked child's copy.
    bool inherited() const noexcept { return forked_since(mark_); }
    void keep(held taken);
    /// The same for a hold by a lane: one exchange, where it is the only one.
    void keep(grip& taken) {
        grip* none = nullptr;
        if (!alone_.compare_exchange_strong(none, &taken)) {
            keep(held(taken));
        }
    }
    /// The only one, if it was kept by one exchange. Null: give_back().
    grip* give_back_alone() noexcept {
        return others_.load() == 0 && !inherited() ? alone_.exchange(nullptr) : nullptr;
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
        put_with_others();
        for (const held& each : kept_) {
            if (each.token() == wanted) {
                return ask(each);
            }
        }
        return {};
    }

  private:
    const std::uint64_t mark_ = process_mark();
    void put_with_others() const REQUIRES(guard_);

    // Most faces keep one quick hold at a time: it stands alone, so that keeping it and giving it back take
    // no lock. As soon as there are others, or somebody asks, it stands with them.
    mutable std::atomic<grip*> alone_{nullptr};
    mutable std::atomic<std::size_t> others_{0}; ///< kept_.size(). Written under the guard.
    mutable latch guard_;
    mutable std::vector<held> kept_ GUARDED_BY(guard_);
};

/// What stands behind a mutex or shared_mutex and its copies.
class lockable final : public resource {
  public:
    lockable(std::shared_ptr<class client> client, resource_name name,
             std::shared_ptr<turns> in_turns = nullptr)
        : resource(std::move(client), std::move(name), lock_capacity, std::move(in_turns)) {}

    kept_holds exclusive; ///< Of lock().
    kept_holds shared;    ///< Of lock_shared().
};

/// The limits of try_acquire().
patience no_patience();
/// The limits of acquire().
patience patience_of(std::stop_token stop);
/// The limits of the forms with a duration.
patience patience_of(std::chrono::nanoseconds limit, std::stop_token stop);

/// acquire() with a duration: who gave one is told timed_out, never busy.
result<held> acquire_within(resource& from, std::uint32_t weight, std::chrono::nanoseconds limit,
                            std::stop_token stop);

/// For the Lockable forms: keeps the hold; false when it was busy or not in time; else throws.
bool keep_or_throw(kept_holds& in, result<held> outcome);

} // namespace holdfast::core
