// What a handle holds on by: a core::hold, or a hold of a store's synchronous path that has not needed one
// yet.
//
// A free local mutex costs two compare-and-swaps. An allocation, a reference count or a lock beside them
// would cost more than the rest, so there is none of them on that path. A *lane* is a name's way in through
// one session; the holds by it refer to it by a plain pointer, each from a grip, of which every thread owns a
// few that never go away. Nobody counts these references: a grip says which lane it uses, and whoever retires
// a lane looks through all grips first. A heavy barrier on that rare side (membarrier(2)) makes plain stores
// suffice on this one. Where the kernel does not have it there are no lanes.
//
// As soon as such a hold is asked for more than its token, its validity and its release, it becomes a
// core::hold (whole()) and stays one. So there is one state machine of loss, and one place that tells it.
//
// token(), valid_for(), reason() and whole() may be called by any thread; acquiring and ending a grip as
// `held` says.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include <holdfast/store.hpp>

namespace holdfast::core {

class hold;
class kept_holds;
class session;
struct name_record;

/// A name's synchronous way in, on one session. Made and retired by the resource; all of it is const.
struct lane {
    const std::shared_ptr<session> on;
    const std::shared_ptr<fast_path> path;
    const fast_path::way_out out;
    const struct claim shape; ///< Without an id: the fast path names no claims.
    const std::shared_ptr<name_record> record;
};

class grip {
  public:
    grip() = default;
    grip(const grip&) = delete;
    grip& operator=(const grip&) = delete;

    /// A hold by this lane, if the name is free and nothing else is needed. Null: take the long way. Whoever
    /// exchanges the lane meanwhile retires the former one.
    /// may_wait: stands in line by the lane if the name is taken, and waits for as long as it takes.
    static grip* acquire(const std::atomic<lane*>& current, std::uint32_t weight, bool may_wait) noexcept;
    /// The grip on a core::hold, which lasts until it is taken. It is the hold's own.
    static grip* on(std::shared_ptr<hold> whole) noexcept;

    /// Ends the hold, if it is by a lane, nobody waits behind it and nothing is to be told. Else take() it.
    bool let_go() noexcept;
    /// The hold, out of the grip, which is free again.
    std::shared_ptr<hold> take();

    holdfast::token token() const noexcept { return token_; }
    std::chrono::nanoseconds valid_for();
    loss_reason reason();
    /// The same hold as a core::hold. Stays the same until it is taken.
    const std::shared_ptr<hold>& whole();

    /// Whether it is a core::hold by now.
    bool is_whole() const noexcept { return whole_.load(std::memory_order_acquire) != nullptr; }
    /// Whether it is one of the calling thread's own.
    bool is_of_this_thread() const noexcept;
    /// Shows every thread's grips, also those that hold nothing.
    static void visit(const std::function<void(grip&)>& each_is_told);

    bool uses(const lane* which) const noexcept { return uses_.load(std::memory_order_acquire) == which; }

  private:
    [[gnu::noinline]] bool let_go_after_wait() noexcept;
    void leave_lane() noexcept;

    // First what a release after a wait reads, all in one cache line.
    std::atomic<lane*> uses_{nullptr}; ///< The thread that owns the grip sets it, whoever releases clears it.
    std::atomic<std::shared_ptr<hold>*> whole_{nullptr}; ///< No latch: a forked child could never open it.
    std::uint64_t ticket_ = 0;
    fast_path::way_out out_; ///< Of a hold by a lane that was waited for: see let_go_after_wait().
    holdfast::token token_;
    const std::atomic<loss_reason>* reason_ = nullptr; ///< The session's.
    std::shared_ptr<hold> own_;                        ///< Where whole_ points in a core::hold's own grip.

  public:
    /// Of a hold by a lane that lock() took: see kept.hpp, which alone touches it.
    struct keeping {
        std::atomic<const kept_holds*> in{nullptr};
        std::atomic<bool> leaving{false}; ///< Written by the thread that owns the grip.
    } kept;
};

/// A lane, or null where this process cannot have any.
std::unique_ptr<lane> make_lane(std::shared_ptr<session> on, const std::shared_ptr<fast_path>& path,
                                struct claim shape, std::shared_ptr<name_record> record);

/// Nobody can find this lane any more: it is destroyed as soon as no hold uses it, now or by the last one's
/// release. If its session ends with it, that may take until release_timeout.
void retire(std::unique_ptr<lane> unwanted) noexcept;

} // namespace holdfast::core
