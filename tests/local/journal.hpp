// What workers write down about their holds, in memory that survives them, and the checker that reads it
// afterwards.
//
// It knows nothing of the store: only when an acquire returned, with which token, and when the release was
// called.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

namespace holdfast::testing {

/// The weight of who holds alone, and the capacity of what is held alone or shared.
inline constexpr std::uint32_t journal_capacity = 1'000'000;

/// Nanoseconds of CLOCK_MONOTONIC.
std::int64_t monotonic_ns();

struct journal_entry {
    std::atomic<std::int64_t> pid;
    std::atomic<std::uint64_t> token;
    std::atomic<std::uint32_t> name;
    std::atomic<std::uint32_t> weight;
    std::atomic<std::int64_t> start; ///< After acquire returned.
    std::atomic<std::int64_t> end;   ///< Before release was called; 0 when it never was.
};

class journal {
  public:
    /// Opens or makes it. Throws std::system_error.
    explicit journal(const std::filesystem::path& file);
    ~journal();
    journal(const journal&) = delete;
    journal& operator=(const journal&) = delete;

    /// Notes a hold that began just now, of the name with this number; null when the journal is full.
    journal_entry* begin(std::uint64_t token, std::uint32_t weight, std::uint32_t name = 0);
    static void end(journal_entry* entry);

    /// How many holds were noted, or would have been had there been room for them.
    std::uint64_t used() const noexcept;
    /// How many have room. Whoever lets them become more cannot judge any more.
    static std::uint64_t room() noexcept;

    struct hold {
        std::int64_t pid;
        std::uint32_t weight;
        std::uint64_t token;
        std::int64_t start;
        std::int64_t end;
        std::uint32_t name = 0;
    };
    /// Every hold, by name and by token. A hold without an end ended when its process was killed, or is still
    /// going on.
    std::vector<hold> holds(const std::map<pid_t, std::int64_t>& killed_at) const;

  private:
    struct content;
    content* content_ = nullptr;
};

/// What is wrong with these holds, in their order, of resources with this capacity each; empty when nothing
/// is. Tokens are unique; never more than `capacity` at once; of two holds of which one takes all, the one
/// that ended before the other began has the lower token.
std::string violations(const std::vector<journal::hold>& holds, std::uint64_t capacity);

} // namespace holdfast::testing
