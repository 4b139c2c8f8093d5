#include "fork.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

namespace holdfast::core {
namespace {

using mark_word = std::atomic<std::uint64_t>;

mark_word* make_page() noexcept {
    void* page = mmap(nullptr, sizeof(mark_word), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || madvise(page, sizeof(mark_word), MADV_WIPEONFORK) != 0) {
        // Linux has had it since 4.14; without it a child could release its parent's locks.
        std::abort();
    }
    return new (page) mark_word(0);
}

} // namespace

constinit std::atomic<mark_word*> mark_page{nullptr};

std::uint64_t process_mark() noexcept {
    static mark_word* const page = [] {
        mark_word* const made = make_page();
        mark_page.store(made, std::memory_order_release);
        return made;
    }();
    std::uint64_t mark = page->load(std::memory_order_relaxed);
    if (mark != 0) {
        return mark;
    }
    std::uint64_t fresh = 0;
    while (getrandom(&fresh, sizeof fresh, 0) != static_cast<ssize_t>(sizeof fresh) || fresh == 0) {
    }
    return page->compare_exchange_strong(mark, fresh) ? fresh : mark;
}

} // namespace holdfast::core
