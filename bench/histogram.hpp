// Waits in buckets that are about 6 % wide, so that millions of them fit into one line of text.
//
// A plain value without thread safety: every thread fills its own and they are added afterwards. The peers in
// other languages compute the same buckets.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace holdfast::bench {

class histogram {
  public:
    static constexpr std::size_t bucket_count = 976;

    static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
        if (value < 16) {
            return static_cast<std::size_t>(value);
        }
        const auto shift = static_cast<std::size_t>(std::bit_width(value) - 5);
        return shift * 16 + static_cast<std::size_t>(value >> shift);
    }

    void add(std::uint64_t value) noexcept { ++counts_[bucket_of(value)]; }
    /// Ignores a bucket that there is not.
    void add_to_bucket(std::size_t bucket, std::uint64_t count) noexcept {
        if (bucket < bucket_count) {
            counts_[bucket] += count;
        }
    }
    void add(const histogram& other) noexcept {
        for (std::size_t bucket = 0; bucket < bucket_count; ++bucket) {
            counts_[bucket] += other.counts_[bucket];
        }
    }

    std::uint64_t count_in(std::size_t bucket) const noexcept { return counts_[bucket]; }
    std::uint64_t total() const noexcept;
    /// The middle of the bucket below which this share (0 to 1) of the values lies; 0 without any.
    double percentile(double share) const noexcept;

  private:
    std::array<std::uint64_t, bucket_count> counts_{};
};

} // namespace holdfast::bench
