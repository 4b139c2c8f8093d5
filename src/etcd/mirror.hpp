// This process's picture of one contended line, and what it means for the claims of ours in it.
//
// Pure: no I/O, no time, no locks; the caller owns the order of calls. It is fed by whole readings of the
// line at one revision (load) and by watch events in revision order (apply), in any interleaving that a watch
// opened *before* the reading can produce: events that a reading already contains are dropped, events from
// before the first reading wait for it. A reading never takes the picture back in time.
//
//   what we asked about a claim | becomes | when
//   ----------------------------+---------+------------------------------------------------------------
//   expected (its key, its      | granted | it is in the granted prefix; said once
//   create revision)            | gone    | the picture has reached its revision and it is not there; said
//   once
//                               | broken  | the same, after an administrator had moved it to another lease
//                               | replaced| a reading went back in time; said once
//   forgotten, gone and so on   | -       | nothing is said any more
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/line.hpp"
#include "messages.hpp"

namespace holdfast::etcd {

/// What became of one expected claim.
struct verdict {
    enum class kind { granted, gone, broken, replaced };
    std::string key;
    kind what = kind::granted;
};

class mirror {
  public:
    /// `prefix` is the line's, see keys.hpp.
    explicit mirror(std::string prefix) : prefix_(std::move(prefix)) {}

    /// A watch was opened anew: what is known is not followed any more until the next load().
    void restart();

    /// The whole line as it stood at `revision`, in any order; keys of deeper names may be among it.
    void load(const std::vector<key_value>& keys, std::int64_t revision);

    /// Events of one watch message.
    void apply(const std::vector<watch_event>& events);

    /// Says what becomes of this claim of ours, which was put in line at this revision. The text of the key
    /// has to stay until it is forgotten, or has been told to be anything but granted.
    void expect(const std::string& key, std::int64_t create_revision);
    void expect(std::string&& key, std::int64_t create_revision) = delete;

    /// Nothing is said about this claim any more.
    void forget(std::string_view key);

    /// What is new since the last call, in the order of the line.
    std::vector<verdict> take();

    const std::string& prefix() const noexcept { return prefix_; }
    /// True when the picture is being kept up to date.
    bool followed() const noexcept { return followed_; }
    /// The revision up to which it is known.
    std::int64_t revision() const noexcept { return revision_; }
    /// Claims of ours that were expected and not forgotten, granted ones included.
    std::size_t expected() const noexcept { return expected_.size(); }
    /// Of those, the ones that are still to be granted.
    std::size_t waiting() const noexcept { return waiting_; }
    /// Claims in the line.
    std::size_t size() const noexcept { return places_.size() - head_; }
    /// Events that wait for the first reading; the caller bounds them by starting again.
    std::size_t backlog() const noexcept { return odd_ ? odd_->early.size() : 0; }

  private:
    struct wanted {
        std::int64_t create_revision = 0;
        bool granted = false;
    };
    // What few lines have at a time: a process may follow ten thousand.
    struct oddities {
        std::vector<watch_event> early;  ///< Events from before the first reading.
        std::set<std::string> kept;      ///< Those that held when the line was resized.
        std::set<std::string> moved;     ///< Not under their sessions' leases any more: their end is near.
        std::vector<std::string> broken; ///< The latest of those that ended, for claims expected only now.
    };
    oddities& odd();

    void apply_one(const watch_event& event);
    void put(const key_value& kv);
    void change(const key_value& kv, std::int64_t create_revision);
    void mark_moved(const key_value& kv);
    std::size_t kept_at_head() const;
    bool is_expected(std::string_view key, std::int64_t create_revision) const;
    bool was_broken(const std::string& key) const;
    void erase(const std::string& key);
    void take_out(std::size_t at);
    std::size_t find(std::int64_t create_revision, std::string_view key) const;
    void verify_unseen(std::vector<verdict>& news);

    std::string prefix_;
    bool followed_ = false;
    std::int64_t revision_ = 0;
    std::unique_ptr<oddities> odd_;

    // The line, oldest first, from head_ on: whole arrays, because the rule reads them as one span, and
    // nearly every departure is at the head.
    std::vector<core::place> places_;
    std::vector<std::pair<std::int64_t, const std::string*>>
        keys_; ///< Create revision and key, in born_; parallel to places_.
    std::size_t head_ = 0;
    // Most lines are of one or two claims: trees, because a hash table takes more.
    std::map<std::string, std::int64_t> born_; ///< Create revision of every key in the line.

    std::map<std::string_view, wanted> expected_; ///< By the texts that they were expected by.
    std::size_t waiting_ = 0;
    std::vector<std::string> unseen_; ///< Expected ones whose presence is still to be verified.
    std::vector<verdict> ended_;      ///< Expected ones that left since take().
};

} // namespace holdfast::etcd
