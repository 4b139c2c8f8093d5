// Chance from a seed: the same on every machine and for every library. A plain value.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace holdfast::sim {

class dice {
  public:
    explicit dice(std::uint64_t seed) noexcept : state_(seed) {}

    /// Any 64 bits (splitmix64).
    std::uint64_t next() noexcept {
        state_ += 0x9e3779b97f4a7c15U;
        std::uint64_t mixed = state_;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
        return mixed ^ (mixed >> 31);
    }

    /// 0 .. count - 1
    std::size_t below(std::size_t count) noexcept { return static_cast<std::size_t>(next() % count); }

    /// low .. high, both possible
    std::int64_t between(std::int64_t low, std::int64_t high) noexcept {
        return low + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(high - low + 1));
    }
    std::chrono::nanoseconds between(std::chrono::nanoseconds low, std::chrono::nanoseconds high) noexcept {
        return std::chrono::nanoseconds(between(low.count(), high.count()));
    }

    /// True `share` times in a thousand.
    bool permille(int share) noexcept { return static_cast<int>(next() % 1000) < share; }

    template <typename T, std::size_t size>
    const T& one_of(const std::array<T, size>& choices) noexcept {
        return choices[below(size)];
    }

    /// Another sequence, independent of how far this one gets.
    dice fork() noexcept { return dice(next()); }

  private:
    std::uint64_t state_;
};

} // namespace holdfast::sim
