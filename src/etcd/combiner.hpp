// Transactions of many threads as one: while two are under way, or a large one, those that come wait for it
// and are sent together.
//
// Thread-safe, and nothing blocks. A server spends most of what a small transaction costs on its way in and
// out, not on the transaction. Each part decides by its own conditions, as it would alone. Three rules keep
// that true: no two parts put a key into one line (both would get one create revision, and with it one token:
// two holders), none deletes what another puts, and there are at most 100 parts, because servers refuse
// more than 128. A transaction that is refused as a whole is sent again in its parts.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/annotations.hpp"
#include "messages.hpp"
#include "rpc.hpp"

namespace holdfast::etcd {

/// One transaction as it may be combined with others.
struct part {
    std::string line; ///< The prefix of the line that it changes.
    txn_request what;
    instant deadline;
    repeat again = repeat::never;
    /// `answer`: null where the call failed, or its reply is not etcd's.
    std::function<void(const outcome& reply, const txn_reply* answer)> done;
};

/// Whether the part may go into one transaction with the others. See above.
bool may_join(const part& one, const std::vector<part>& others);

inline constexpr std::size_t max_parts = 100;

class combiner {
  public:
    explicit combiner(transport& calls) : calls_(calls) {}
    combiner(const combiner&) = delete;
    combiner& operator=(const combiner&) = delete;

    /// `done` is called once, as transport::call does it.
    void send(part one);

  private:
    using parts = std::vector<part>;
    void send_together(std::shared_ptr<parts> all);
    void send_alone(part one);
    void on_reply(const std::shared_ptr<parts>& all, const outcome& reply);
    bool may_send() const REQUIRES(guard_);
    std::vector<std::shared_ptr<parts>> due() REQUIRES(guard_);

    transport& calls_;
    core::latch guard_;
    std::deque<part> queue_ GUARDED_BY(guard_);
    std::size_t under_way_ GUARDED_BY(guard_) = 0;
    std::size_t parts_under_way_ GUARDED_BY(guard_) = 0;
    std::size_t last_size_ GUARDED_BY(guard_) = 1; ///< Of the transaction that was sent last.
};

} // namespace holdfast::etcd
