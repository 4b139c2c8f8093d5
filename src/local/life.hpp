// How a process's death is noticed at once: by the kernel's list of robust futexes, which it walks when a
// thread ends.
//
// The list belongs to one thread, so it is registered by the store's own background thread, which ends with
// the process (or with the store). The nodes of the list lie in private memory at the same distance from one
// another as the slots in the segment, because the kernel finds every futex at one fixed offset from its
// node; so no pointer of ours stands in shared memory. A life word holds the TID as that thread knows it, in
// its own PID namespace: nobody else locks the word, so equal TIDs of two namespaces never meet. glibc's own
// list of that thread is replaced, which is harmless because the thread uses no robust mutex. A program that
// wants no thread yet (options::threads_later) lends the one that connects, under the same conditions.
//
// attach() and detach() may be called by any thread, one at a time, while the registered thread lives. Each
// changes the list by one store, so that the kernel finds it whole at any instruction.
#pragma once

#include <cstddef>
#include <cstdint>

#include <linux/futex.h>

#include "segment.hpp"

namespace holdfast::local {

class life_list {
  public:
    /// Throws std::system_error when there is no memory.
    explicit life_list(segment& of);
    ~life_list();
    life_list(const life_list&) = delete;
    life_list& operator=(const life_list&) = delete;

    /// On the thread whose death shall count.
    void register_this_thread() noexcept;
    /// On that thread, before it goes on or ends with the list empty.
    void unregister_this_thread() noexcept;

    /// From now on the thread's death shows in the slot's life word.
    void attach(std::uint32_t slot) noexcept;
    /// The life word is dead from now on, and nothing will happen to it when the thread ends.
    void detach(std::uint32_t slot) noexcept;

  private:
    robust_list* node(std::uint32_t slot) const noexcept;

    segment& segment_;
    char* nodes_ = nullptr;
    robust_list_head head_{};
    robust_list_head* before_ = nullptr; ///< What the thread had registered: glibc's own.
    std::uint32_t tid_ = 0;
};

/// Whether the thread that a life word names is still there.
constexpr bool is_living(std::uint32_t life) noexcept {
    return (life & FUTEX_TID_MASK) != 0;
}

/// Whether anybody keeps the session of a slot alive, and the word that changes when he dies.
struct pulse {
    word32* word = nullptr;
    std::uint32_t value = 0;
    bool living() const noexcept { return is_living(value); }
};
inline pulse pulse_of(slot& of) noexcept {
    const pulse own{&of.life, of.life.load(std::memory_order_acquire)};
    if (own.living()) {
        return own;
    }
    const pulse second{&of.second_life, of.second_life.load(std::memory_order_acquire)};
    return second.living() ? second : own;
}

} // namespace holdfast::local
