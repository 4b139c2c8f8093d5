// Waiting in lines: one watch per contended name of this process, on one stream, and the mirror behind each.
//
// Thread-safe. A name's watch is opened at start revision 0, "from now on", so that the server never puts it
// into its group of watchers that are behind, which it serves only every 100 ms; one reading of the line then
// tells what was there before. From then on the event that takes a claim's blocker away grants it, without a
// further read. The watch stays for a second after the last claim, for the next one. Whatever breaks (stream,
// compaction, member) is opened anew after a growing pause, read again and reconciled. A hold of a name in
// which nobody of this process waits has a watch of its own key only (own_key.hpp).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "core/annotations.hpp"
#include "line_reading.hpp"
#include "mirror.hpp"
#include "own_key.hpp"
#include "record.hpp"
#include "rpc.hpp"

namespace holdfast::etcd {

/// Somebody who wants to know that a line may have changed.
class listener {
  public:
    virtual ~listener() = default;
    virtual void changed() noexcept = 0;
};

class watcher {
  public:
    watcher(transport& calls, std::chrono::nanoseconds op_timeout) : calls_(calls), op_timeout_(op_timeout) {}
    /// stop() must have been called.
    ~watcher() = default;
    watcher(const watcher&) = delete;
    watcher& operator=(const watcher&) = delete;

    /// Follows a claim that waits in line since `create_revision`, until it is gone or forgotten. Whether the
    /// claim takes the news depends on its phase then.
    void follow(const std::shared_ptr<record>& one, std::int64_t create_revision);
    /// Follows the key of a claim that was granted on arrival, if it still holds in a while: short holds end
    /// before anybody could take them away, and would pay for a watch.
    void follow_later(const std::shared_ptr<record>& one);
    /// Nothing more is said about it.
    void forget(const record& one);
    /// Tells the listener whenever the line with this prefix may have changed, until ignore().
    void listen(const std::string& prefix, const std::shared_ptr<listener>& who);
    void ignore(const std::string& prefix, const std::shared_ptr<listener>& who);
    /// The cluster has reached this revision. A stream that does not say the same when it is asked, twice in
    /// a row, comes from a member that is cut off or hangs: it is opened anew at another.
    void expect_progress(std::int64_t revision);
    /// Ends the thread and forgets everything. The transport's callbacks may come a little longer.
    void stop();

  private:
    using step = watch_step;

    struct line {
        explicit line(const std::string& prefix) : picture(prefix) {}
        /// All keys are watched that begin so.
        const std::string& prefix() const noexcept { return picture.prefix(); }
        mirror picture;
        step at = step::closed;
        std::int64_t watch_id = -1;
        std::int64_t opened_revision = 0; ///< The watch carries everything after it.
        std::uint64_t epoch = 0;          ///< Counts the watches; tells old answers from new ones.
        std::chrono::nanoseconds pause{}; ///< Before the next attempt.
        instant last_used{};
        bool read_failed = false;
        bool visit_planned = false;                                  ///< For the end of its use.
        std::map<std::string_view, std::shared_ptr<record>> records; ///< By their keys.
        std::vector<std::shared_ptr<listener>> listeners;
        bool in_use() const { return !records.empty() || !listeners.empty(); }
    };
    using line_ptr = std::shared_ptr<line>;
    using key_ptr = std::shared_ptr<own_key>;
    using watched = std::variant<line_ptr, key_ptr>;
    using records = std::vector<std::shared_ptr<record>>;

    // A key whose watch began at this revision of this stream.
    struct key_reading {
        key_ptr key;
        std::int64_t not_before = 0;
        std::int64_t watch_id = -1;
        std::uint64_t stream_number = 0;
    };
    using wanted_reading = std::variant<line_ptr, key_reading>;

    // What a change asks to be done outside of the lock.
    struct work {
        records told;
        std::vector<std::shared_ptr<listener>> hinted;
        bool read = false; ///< There may be something to read.
        std::shared_ptr<stream> flush;
        std::shared_ptr<stream> cancel;
        bool open = false;
    };

    line_ptr line_of(const std::string& prefix) REQUIRES(guard_);
    void add(const line_ptr& where, const std::shared_ptr<record>& one, std::int64_t create_revision,
             work& todo) REQUIRES(guard_);
    void create(const line_ptr& one, work& todo) REQUIRES(guard_);
    void open_stream();
    void on_message(std::uint64_t stream_number, std::string_view bytes);
    void on_closed(std::uint64_t stream_number, const outcome& why);
    void on_created(const watch_reply& reply, work& todo) REQUIRES(guard_);
    void on_line_created(const line_ptr& one, const watch_reply& reply, work& todo) REQUIRES(guard_);
    void on_line_events(const line_ptr& one, const watch_reply& reply, work& todo) REQUIRES(guard_);
    void on_read(const line_ptr& one, std::uint64_t epoch, line_reading reading);
    void want_reading(wanted_reading what, work& todo) REQUIRES(guard_);
    void start_readings();
    void read(const line_ptr& one, std::uint64_t epoch);
    void close_line(const line_ptr& one, instant again_at) REQUIRES(guard_);
    void collect(line& one, work& todo) REQUIRES(guard_);
    static bool tell(record& claim, verdict::kind news);
    void settle(const line_ptr& one) REQUIRES(guard_);
    void visit(const line_ptr& one, instant at, work& todo) REQUIRES(guard_);
    void schedule(const line_ptr& one, instant at) REQUIRES(guard_);
    void wake_thread() REQUIRES(guard_);
    void let_grow(const std::shared_ptr<record>& one) REQUIRES(guard_);
    records grown_up(instant at) REQUIRES(guard_);

    // Of one key each, in watch_key.cpp.
    void follow_key(const std::shared_ptr<record>& one);
    void create(const key_ptr& key, work& todo) REQUIRES(guard_);
    void on_key_created(const key_ptr& key, const watch_reply& reply, work& todo) REQUIRES(guard_);
    void on_key_events(const key_ptr& key, const watch_reply& reply, work& todo) REQUIRES(guard_);
    void read_key(const key_reading& what, const std::string& key);
    void on_key_read(const key_reading& what, const outcome& reply);
    void close_key(own_key& key) REQUIRES(guard_);
    void end_key(key_ptr key, verdict::kind news, work& todo) REQUIRES(guard_);
    void drop_key(const record& one, records& dropped) REQUIRES(guard_);
    void leave_watch(std::int64_t watch_id) REQUIRES(guard_);
    void cancel_left(instant at, work& todo) REQUIRES(guard_);

    void perform(work todo);
    void run();
    static bool concerns(const line& one, const std::vector<watch_event>& events);
    static std::chrono::nanoseconds longer(std::chrono::nanoseconds pause);

    transport& calls_;
    const std::chrono::nanoseconds op_timeout_;

    core::latch guard_;
    std::map<std::string_view, line_ptr> lines_ GUARDED_BY(guard_); ///< By their prefixes.
    std::unordered_map<const record*, key_ptr> keys_ GUARDED_BY(guard_);
    std::unordered_map<std::int64_t, watched> by_id_ GUARDED_BY(guard_);
    std::deque<watched> creating_ GUARDED_BY(guard_);   ///< The server answers in the order of the requests.
    std::vector<std::int64_t> left_ GUARDED_BY(guard_); ///< Watches of keys that are to be cancelled, ...
    instant cancel_left_at_ GUARDED_BY(guard_){};       ///< ... all at this time.
    std::deque<wanted_reading> to_read_ GUARDED_BY(guard_);
    std::size_t readings_ GUARDED_BY(guard_) = 0; ///< Under way.
    std::shared_ptr<stream> stream_ GUARDED_BY(guard_);
    std::uint64_t stream_number_ GUARDED_BY(guard_) = 0;
    bool opening_ GUARDED_BY(guard_) = false;
    instant stream_not_before_ GUARDED_BY(guard_){};
    std::chrono::nanoseconds stream_pause_ GUARDED_BY(guard_){};
    std::int64_t stream_revision_ GUARDED_BY(guard_) = 0;   ///< As far as it says to be.
    std::int64_t expected_revision_ GUARDED_BY(guard_) = 0; ///< Asked for, 0: not yet.
    int silent_ GUARDED_BY(guard_) = 0;                     ///< Questions in a row without an answer.
    std::multimap<instant, std::weak_ptr<line>> due_ GUARDED_BY(guard_);
    std::deque<std::pair<instant, std::weak_ptr<record>>>
        young_ GUARDED_BY(guard_); ///< Holds, when they began.
    instant young_visit_ GUARDED_BY(guard_){};
    bool stopping_ GUARDED_BY(guard_) = false;
    std::thread thread_ GUARDED_BY(guard_);
    parking_place place_;
};

} // namespace holdfast::etcd
