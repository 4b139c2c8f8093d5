// Keeps the keeper's session from ending with the keeper, on a store that has a word for it; see life_word.
//
// Belongs to the thread that constructs it, whose end the kernel announces in the word. It replaces the list
// of robust futexes that the C library has for that thread, so the thread must not use robust mutexes.
#pragma once

#include <cstddef>
#include <cstdint>

#include <linux/futex.h>

namespace holdfast::cli {

class second_life {
  public:
    second_life() = default;
    second_life(const second_life&) = delete;
    second_life& operator=(const second_life&) = delete;

    /// From now on others see that this thread lives, until it ends. At most once; the descriptor may be
    /// closed afterwards. False when that is not possible.
    bool begin(int fd, std::uint64_t offset) noexcept;

  private:
    robust_list_head head_{};
    robust_list node_{};
};

} // namespace holdfast::cli
