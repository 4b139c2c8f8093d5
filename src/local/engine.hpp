// What the sessions of one store share: the segment, and the one thread of ours.
//
// The thread has two jobs. Its death is what the kernel tells everybody else about (life.hpp), so it lives as
// long as the store or any of its sessions; on an engine whose thread comes later, another is lent for that,
// for good. And it waits on behalf of claims that no thread drives (see
// attend()), and of watches; otherwise it sleeps and never wakes. Whoever grants or breaks a claim that no
// thread waits for rings its session's mailbox, one word; the thread then looks at the claims that were poked
// and at no others. It blocks all signals. Thread-safe.
//
// fork: a child has neither the thread nor any right to the slots. forked() tells it by one load; everything
// here then does nothing.
#pragma once

#include <bitset>
#include <memory>
#include <vector>

#include <pthread.h>

#include "core/annotations.hpp"
#include "core/fork.hpp"

#include "futex.hpp"
#include "life.hpp"
#include "segment.hpp"

namespace holdfast::local {

/// One turn of the thread: what it shall sleep on next, and how long.
struct attendance {
    std::vector<futex_watch>& watches;
    instant until;                   ///< When to look again, whatever happens.
    instant now;                     ///< When the turn began.
    std::chrono::nanoseconds late{}; ///< How much too late the thread's own timer woke it.
    bool adopt = false;              ///< Claims that nobody has driven up to now are the thread's to watch.
    bool adopted = false;            ///< There were some.

    /// One word more to sleep on. With more than one sleep can name, looks again after a nap.
    void sleep_on(word32& word, std::uint32_t value);
};

/// A session, or a watch, as the thread sees it.
class attended {
  public:
    virtual ~attended() = default;
    /// Looks after what has become of its claims, and says what to sleep on. On the thread only.
    virtual void attend(attendance& turn) = 0;
};

/// Everything the thread touches; it keeps this alive itself.
struct engine_state {
    explicit engine_state(std::shared_ptr<segment> of) : memory(std::move(of)), lives(*memory) {}

    const std::shared_ptr<segment> memory;
    life_list lives;
    pthread_t lender{};          ///< Whose death shows in place of the thread's; 0: the thread's own.
    word32 control{0};           ///< Changes whenever the thread shall look up.
    std::atomic<word32*> bell{}; ///< The word that it sleeps on first: ring that too.
    std::atomic<bool> started{false};
    std::atomic<bool> stop{false};
    std::atomic<bool> called{false}; ///< Somebody has asked it to attend since it last did.
    core::latch guard;
    std::vector<std::weak_ptr<attended>> sessions GUARDED_BY(guard);
};

class engine {
  public:
    /// Starts the thread. Throws std::system_error when the system has no memory or thread left.
    /// thread_later: not yet, if the calling thread can be lent; that one must outlive the engine.
    explicit engine(std::shared_ptr<segment> memory, bool thread_later = false);
    ~engine();
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;

    const segment& memory() const noexcept { return *state_->memory; }
    life_list& lives() noexcept { return state_->lives; }
    bool forked() const noexcept { return core::forked_since(mark_); }

    /// Serialises taking and giving back slots within this store.
    core::latch& slots() noexcept { return slots_; }
    /// Under that latch: which slots are this store's own.
    void claim_slot(std::uint32_t index, bool ours) noexcept { ours_.set(index, ours); }
    bool ours(std::uint32_t index) const noexcept { return ours_.test(index); }

    /// Starts the thread, if it is not there yet. Throws std::system_error when the system has none left.
    void start_thread();

    void add(const std::shared_ptr<attended>& what);
    /// A claim waits and nobody drives it (yet): the thread watches those ahead of it after a moment, by when
    /// most callers drive it. Its grant needs no watch.
    void call_thread() noexcept;
    /// Everybody that it attends to looks anew.
    void look_up() noexcept;
    bool on_thread() const noexcept {
        return runs_.load(std::memory_order_acquire) && pthread_equal(pthread_self(), thread_) != 0;
    }

  private:
    const std::shared_ptr<engine_state> state_;
    const std::uint64_t mark_;
    core::latch starting_;
    std::atomic<bool> runs_{false};
    pthread_t thread_{}; ///< Once it runs.
    core::latch slots_;
    std::bitset<slot_count> ours_;
};

} // namespace holdfast::local
