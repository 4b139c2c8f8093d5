// The words of Holdfast as types: names, tokens, claims, levels.
//
// Plain values; no thread safety of their own, none needed.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include <holdfast/error.hpp>

namespace holdfast {

/// The name of a resource: 1 to 512 opaque bytes. Never converts to or from a token or a claim id.
class resource_name {
  public:
    /// The longest name.
    static constexpr std::size_t max_bytes = 512;

    /// Checks the length. Errors: misuse when empty or over max_bytes.
    static result<resource_name> make(std::string_view bytes);

    /// The bytes as they were given.
    const std::string& bytes() const noexcept { return bytes_; }

    friend bool operator==(const resource_name&, const resource_name&) = default;
    friend auto operator<=>(const resource_name&, const resource_name&) = default;

  private:
    explicit resource_name(std::string bytes) : bytes_(std::move(bytes)) {}
    std::string bytes_;
};

/// A fencing token: strictly rises in the order of grant, per name; 1 to 2^63 - 1.
class token {
  public:
    constexpr token() noexcept = default;
    /// Of a number that was written down.
    explicit constexpr token(std::uint64_t value) noexcept : value_(value) {}

    /// The number to write beside the data. 0 only for a default-constructed token.
    constexpr std::uint64_t value() const noexcept { return value_; }

    friend constexpr auto operator<=>(token, token) noexcept = default;

  private:
    std::uint64_t value_ = 0;
};

/// Why a hold ended without its release.
enum class loss_reason {
    none = 0,     ///< Not lost.
    expired = 1,  ///< Its lease ran out, by our clock or by the store's.
    revoked = 2,  ///< Somebody ended the session or deleted the claim; also a break, where only its absence
                  ///< was seen: a local hold whose lost() nobody has asked for.
    broken = 3,   ///< An administrator's break.
    replaced = 4, ///< The store itself was replaced, restored or emptied.
    forked = 5,   ///< The handle was inherited by a forked child.
};

/// "expired", "revoked", ...
std::string_view to_string(loss_reason reason) noexcept;

/// What a topology can promise; a later one includes the earlier ones.
enum class level {
    efficiency = 0, ///< Usually one holder; two are possible after a failover.
    exclusive = 1,  ///< One holder until the deadline.
    fenced = 2,     ///< Exclusive, and tokens that always rise.
};

/// "efficiency", "exclusive", "fenced".
std::string_view to_string(level value) noexcept;

/// The capacity of every line of the kind *lock*. An exclusive claim weighs as much, a reader weighs 1.
inline constexpr std::uint32_t lock_capacity = 1U << 30;

/// The most permits a semaphore may have.
inline constexpr std::uint32_t max_permits = 1'000'000;

/// As options::ttl: no lease. A hold ends with its release or with the death of its process, as one of flock
/// does, and with nothing else: whoever stops the process (SIGSTOP, a debugger) stops everybody behind it.
/// Only the local store notices deaths by itself; every other refuses it with config. held::valid_for() is
/// this value too, and nothing is left to show as the time until the lease ends.
inline constexpr std::chrono::nanoseconds until_death = std::chrono::nanoseconds::max();

/// The name of one claim: unique for ever, so that an append may be repeated without harm.
struct claim_id {
    std::array<std::uint8_t, 16> session{}; ///< 128 random bits, drawn once per session.
    std::uint64_t number = 0;               ///< Counts the session's claims from 1.

    friend bool operator==(const claim_id&, const claim_id&) = default;
    friend auto operator<=>(const claim_id&, const claim_id&) = default;
};

/// 32 hexadecimal digits of the session, a dot, the number in hexadecimal. At most 49 characters.
std::string to_string(const claim_id& id);

/// Reads to_string(claim_id) back; false when the text is not of that form.
bool parse_claim_id(std::string_view text, claim_id& out) noexcept;

/// A 32-bit word in a file, by which a second process keeps a session from ending with ours. While it names a
/// thread that lives (its id | FUTEX_WAITERS, registered in that thread's list of robust futexes, so that the
/// kernel clears it when the thread ends), the death of our process does not end the session: its lease does,
/// or the end of that thread. 0: there is nobody but us.
struct life_word {
    int fd = -1;              ///< Readable and writable; the store's own: duplicate it or pass it on.
    std::uint64_t offset = 0; ///< Of the word in the file; a multiple of 4.
};

} // namespace holdfast
