// What a watch of nothing but our own claim's key tells: whether the claim still stands.
//
// Most holds have nobody behind them that this process knows of, and it may have ten thousand of them: the
// mirror of a whole line takes ten times as much. Pure: no I/O, no time, no locks; the watcher owns the order
// of calls.
//
//   the claim | when
//   ----------+-----------------------------------------------------------------------
//   stands    | nothing is said
//   gone      | its key has left, or is another claim's by now
//   broken    | the same, after an administrator had moved it to another lease
//   replaced  | a reading is older than the claim
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "messages.hpp"
#include "mirror.hpp"
#include "record.hpp"

namespace holdfast::etcd {

/// How far the watch of a line or of a key is.
enum class watch_step : std::uint8_t { closed, creating, reading, followed };

class own_key {
  public:
    own_key(std::shared_ptr<record> one, std::int64_t create_revision)
        : claim(std::move(one)), create_revision_(create_revision) {}

    /// Events of its watch, in their order.
    std::optional<verdict::kind> apply(const std::vector<watch_event>& events);
    /// The key as it was read after the watch had begun.
    std::optional<verdict::kind> judge(const range_reply& reading);

    /// Where a watch begins that misses nothing: with the append, the first time. Behind it would be too
    /// late: of a history that has been compacted up to its very beginning etcd says nothing, and shows no
    /// deletion. Later from now on (0), with a reading afterwards.
    std::int64_t start_revision() const noexcept { return watched_ ? 0 : create_revision_; }
    /// The server has created the watch. Whether the key is to be read.
    bool has_begun() noexcept { return std::exchange(watched_, true); }

    // The watcher's.
    std::shared_ptr<record> claim; ///< Null once nobody asks any more.
    std::int64_t watch_id = -1;
    watch_step at = watch_step::closed;

  private:
    bool is_moved(const key_value& kv) const;
    verdict::kind end() const { return moved_ ? verdict::kind::broken : verdict::kind::gone; }

    bool watched_ = false;
    bool moved_ = false; ///< It is not under its session's lease any more: its end is near.
    const std::int64_t create_revision_;
};

} // namespace holdfast::etcd
