// The Redis protocol (RESP2) as values: requests out, replies in. No I/O.
//
// Parsing is hiredis' reader with object functions of ours. What a server sends is untrusted: nesting, counts
// and lengths are limited, and nothing is allocated for an announced length before its bytes have arrived.
// Not thread-safe; use one reader per connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;

namespace holdfast::redis {

/// The most that one reply may come to. Beyond it the connection is of no use any more.
struct reply_limits {
    static constexpr std::size_t items = 262'144; ///< Of one array, and of one reply with all that it nests.
    static constexpr std::size_t text_bytes = 1 << 20; ///< Of one string.
    static constexpr std::size_t bytes = 8 << 20;      ///< Of one reply on the wire.
    static constexpr int depth = 7;                    ///< hiredis' own.
};

/// One reply, owning all it holds.
struct reply {
    enum class kind : std::uint8_t { nil, integer, status, string, error, array };

    kind type = kind::nil;
    std::int64_t integer = 0;
    std::string text; ///< Of a status, a string or an error.
    std::vector<reply> items;

    bool is_error() const noexcept { return type == kind::error; }
    bool is_text() const noexcept { return type == kind::string || type == kind::status; }
    /// The text of a string or status; empty for everything else.
    std::string_view str() const noexcept { return is_text() ? std::string_view(text) : std::string_view(); }
    /// True for an error whose first word is this one.
    bool is_error(std::string_view code) const noexcept;
};

/// Turns bytes into replies.
class reply_reader {
  public:
    reply_reader();

    /// Takes bytes in. False once the stream is beyond repair; problem() says why.
    bool feed(std::string_view bytes);

    /// The next whole reply, or nothing: more bytes are needed, or the stream is beyond repair (ask
    /// broken()).
    std::optional<reply> next();

    bool broken() const noexcept { return !problem_.empty(); }
    const std::string& problem() const noexcept { return problem_; }

  private:
    struct free_reader {
        void operator()(redisReader* reader) const noexcept;
    };
    std::unique_ptr<redisReader, free_reader> reader_;
    std::size_t items_ = 0;          ///< Of the reply that is being read.
    std::size_t unparsed_bytes_ = 0; ///< Fed since the last whole reply.
    std::string problem_;
};

/// Appends one command in wire form.
void append_command(std::string& out, std::span<const std::string_view> words);
inline void append_command(std::string& out, std::initializer_list<std::string_view> words) {
    append_command(out, std::span<const std::string_view>(words.begin(), words.size()));
}

} // namespace holdfast::redis
