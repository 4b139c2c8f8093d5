#include "cli/second_life.hpp"

#include <atomic>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast::cli {

bool second_life::begin(int fd, std::uint64_t offset) noexcept {
    if (offset % alignof(std::uint32_t) != 0) {
        return false;
    }
    const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const std::uint64_t in_page = offset % page_bytes;
    void* page = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                        static_cast<off_t>(offset - in_page));
    if (page == MAP_FAILED) {
        return false;
    }
    auto* word = reinterpret_cast<std::uint32_t*>(static_cast<char*>(page) + in_page);
    // The node lies in our own memory and not beside the word: the kernel finds a word at a fixed distance
    // from its node, whatever that is.
    node_.next = &head_.list;
    head_.list.next = &node_;
    head_.futex_offset =
        static_cast<long>(reinterpret_cast<std::intptr_t>(word) - reinterpret_cast<std::intptr_t>(&node_));
    if (::syscall(SYS_set_robust_list, &head_, sizeof head_) != 0) {
        ::munmap(page, page_bytes);
        return false;
    }
    // With FUTEX_WAITERS the kernel wakes whoever sleeps on the word without having said so.
    const auto thread = static_cast<std::uint32_t>(::syscall(SYS_gettid));
    std::atomic_ref<std::uint32_t>(*word).store(thread | FUTEX_WAITERS, std::memory_order_seq_cst);
    return true;
}

} // namespace holdfast::cli
