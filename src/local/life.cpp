#include "life.hpp"

#include <atomic>
#include <cerrno>
#include <system_error>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "futex.hpp"

namespace holdfast::local {
namespace {

constexpr std::size_t nodes_bytes = sizeof(slot) * slot_count;

void relink(robust_list*& link, robust_list* to) noexcept {
    std::atomic_ref<robust_list*>(link).store(to, std::memory_order_release);
}

} // namespace

life_list::life_list(segment& of) : segment_(of) {
    void* memory = mmap(nullptr, nodes_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        throw std::system_error(errno, std::generic_category(), "no memory for the list of life words");
    }
    nodes_ = static_cast<char*>(memory);
    head_.list.next = &head_.list;
    // Slots and nodes have the same distance from one another: one offset is right for all of them.
    head_.futex_offset = static_cast<long>(reinterpret_cast<std::intptr_t>(&of.data().slots[0].life) -
                                           reinterpret_cast<std::intptr_t>(nodes_));
}

life_list::~life_list() {
    munmap(nodes_, nodes_bytes);
}

robust_list* life_list::node(std::uint32_t slot_index) const noexcept {
    return reinterpret_cast<robust_list*>(nodes_ + sizeof(slot) * slot_index);
}

void life_list::register_this_thread() noexcept {
    tid_ = static_cast<std::uint32_t>(syscall(SYS_gettid));
    std::size_t bytes = 0;
    if (syscall(SYS_get_robust_list, 0, &before_, &bytes) != 0) {
        before_ = nullptr;
    }
    syscall(SYS_set_robust_list, &head_, sizeof head_);
}

void life_list::unregister_this_thread() noexcept {
    syscall(SYS_set_robust_list, before_, sizeof head_);
}

void life_list::attach(std::uint32_t slot_index) noexcept {
    robust_list* const mine = node(slot_index);
    relink(mine->next, head_.list.next);
    relink(head_.list.next, mine);
    // FUTEX_WAITERS from the start: the kernel then always wakes one waiter, and nobody has to ask for it.
    segment_.data().slots[slot_index].life.store(tid_ | FUTEX_WAITERS, std::memory_order_release);
}

void life_list::detach(std::uint32_t slot_index) noexcept {
    word32& life = segment_.data().slots[slot_index].life;
    life.store(0, std::memory_order_release);
    futex_wake_all(life);
    robust_list* const mine = node(slot_index);
    for (robust_list* at = &head_.list; at->next != &head_.list; at = at->next) {
        if (at->next == mine) {
            relink(at->next, mine->next);
            return;
        }
    }
}

} // namespace holdfast::local
