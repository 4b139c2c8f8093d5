// A segment's bytes in this process, which somebody may take away under our hands: who cuts the file short
// makes the kernel raise SIGBUS in whoever touches what is missing, and nothing that is looked at before can
// prevent that. So this process has a handler of SIGBUS, from its first mapping on.
//
// Of an address within a mapping of ours, the handler puts zeros in the place of the whole mapping, for this
// process alone: a segment in which nobody sits and nothing is held, so that whoever was at work there goes
// on and finds its session gone. Every other SIGBUS goes to whoever handled it before us, or does what it did
// without us: it ends the process, at the same instruction. Where a program sets a handler of its own later,
// it decides whether ours is called.
//
// The handler and cover() are async-signal-safe: one look at a table that never moves, one mmap(2).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace holdfast::local {

class mapping {
  public:
    /// Maps so many bytes of the file, shared. base() is null where that failed; errno says why.
    /// catches: this process handles SIGBUS from now on.
    mapping(int fd, std::size_t bytes, bool catches) noexcept;
    ~mapping();
    mapping(const mapping&) = delete;
    mapping& operator=(const mapping&) = delete;

    void* base() const noexcept { return base_; }

    /// Puts zeros in its place. Whoever sleeps on a word of the file sleeps on.
    void cover() const noexcept;
    bool covered() const noexcept { return entry_->covered.load(std::memory_order_acquire); }

    /// What the handler knows of a mapping. These live as long as the process.
    struct entry {
        std::atomic<bool> used{false};
        std::atomic<std::uintptr_t> base{0}; ///< 0: there is nothing to look after.
        std::atomic<std::size_t> bytes{0};
        std::atomic<bool> covered{false};
    };

  private:
    const std::size_t bytes_;
    entry spare_; ///< Where the table has no room left: without the handler then.
    entry* entry_ = &spare_;
    void* base_ = nullptr;
};

} // namespace holdfast::local
