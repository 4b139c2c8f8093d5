// A pair of barriers of which one side costs nothing: for what happens all the time on one side, and hardly
// ever on the other.
//
// Two threads that each write one word and then read the other's may both miss the other's write, unless each
// has a barrier in between. The light side here only keeps the compiler from changing the order. The heavy
// side makes every thread of this process pass a real barrier (membarrier(2)), and so stands in for both.
#pragma once

#include <atomic>

namespace holdfast::core {

/// Between the write and the read, on the side that is in a hurry.
inline void light_barrier() noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

/// On the other side. After it every thread has seen our stores, and we see those that it made before.
/// false: the kernel does not have it; once it has been true it stays so, but for a lack of memory.
bool heavy_barrier() noexcept;

} // namespace holdfast::core
