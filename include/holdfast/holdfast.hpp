// Holdfast: locks and permits that programs on one machine or on many take turns by.
//
// connect() gives a locks object: one session on one store, shared by everything made from it. It is cheap to
// copy, thread-safe, and keeps the session alive as long as any of its holds.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <holdfast/election.hpp>
#include <holdfast/error.hpp>
#include <holdfast/events.hpp>
#include <holdfast/held.hpp>
#include <holdfast/locks.hpp>
#include <holdfast/together.hpp>
#include <holdfast/types.hpp>

namespace holdfast {

/// How to use a store. All durations are real time, whatever the engine's unit.
struct options {
    /// How long a hold outlives a process that died or was cut off: 0.1 s to 24 h, on etcd from 1 s, and the
    /// server may grant more than was asked for. Renewed every ttl/3. Less than a second leaves little room
    /// for a busy machine. On the local store until_death switches expiry off; a death frees a hold at once
    /// there whatever the TTL is.
    std::chrono::nanoseconds ttl = std::chrono::seconds(10);
    /// The least the topology must promise; connect fails with level_not_met where it cannot.
    level require = level::efficiency;
    /// How long one request may take, and how long acquire puts up with a store out of reach. More than 0, as
    /// release_timeout too; more than a year counts as a year.
    std::chrono::nanoseconds op_timeout = std::chrono::seconds(5);
    /// How long release() and destructors may take.
    std::chrono::nanoseconds release_timeout = std::chrono::seconds(2);
    /// Told what happens to the locks, for logs and metrics; see <holdfast/events.hpp>. Unset, it costs
    /// nothing.
    event_sink sink = {};
    /// Shown to people who ask who holds; empty: the program's name. At most 128 bytes.
    std::string command = {};
    /// Shown beside it: why. At most 128 bytes.
    std::string why = {};
    /// A file that holds the password, at most 4096 bytes; it wins over the URL's. Its last newline is
    /// dropped.
    std::string password_file = {};
    /// TLS: certificate authorities to trust instead of the system's, our certificate and its key (PEM
    /// files).
    std::string ca_file = {};
    std::string cert_file = {}; ///< See ca_file.
    std::string key_file = {};  ///< See ca_file.
    /// true: the library starts no thread of its own for a hold that came without waiting, until lost() of
    /// it is asked for. Until then nothing renews it, so that it lasts for one TTL, and a loss shows in
    /// valid_for() only. Whatever waits in line or is asynchronous starts the threads as ever. For programs
    /// that hold for a moment and end. The thread that connects must outlive the locks object and all that
    /// came of it, and use no robust mutexes.
    bool threads_later = false;
    /// true: what the store has (connections, threads, memory) is not taken down with the last locks object
    /// and hold, but left to the end of the process. Sessions and holds end as ever. For programs that end
    /// right after that, by std::_Exit() where the store has threads that its destructors would have ended.
    bool store_until_exit = false;
    /// local: whoever cuts the segment's file short would end every process that then uses it, by SIGBUS. So
    /// a handler of that signal is set when the first segment is opened: for addresses in a segment it makes
    /// every hold lost, and everything else it passes on to the handler that it found, or to the default.
    /// false: segments that this object opens are left as they are, and no handler is set for them.
    bool catch_sigbus = true;
};

/// How a mutex is used.
struct mutex_options {
    /// For threads of one process that contend for one name: how long they may hand a hold to one another
    /// before other processes have their turn, which so wait at most this long and one hold longer. 0 (off)
    /// to half of the TTL. Among these threads the order is not first come, first served. It is for blocking
    /// calls on this object and its copies; asynchronous ones are misuse. Where the store has no synchronous
    /// path (etcd, Redis), a token is the store's times 4096 plus a count: it rises with every hold, but only
    /// together with users of the name that have chosen this too. release() of such a hold gives it back to
    /// the process, which always succeeds; the store's hold that ends with it goes on being released in the
    /// background where the store did not confirm.
    ///
    ///   state of the process      | call                 | result
    ///   --------------------------+----------------------+------------------------------------------------
    ///   it has no hold            | acquire, lock        | one thread stands in line at the store, as ever
    ///   a thread of it holds      | acquire, lock        | waits for its turn, without a round trip
    ///   a thread of it holds      | try_*                | busy, false; timed_out with a limit
    ///   held, another waits       | release, unlock      | within the bound lent on; then it goes back to
    ///                             |                      | the store, and the process stands in line anew
    ///   held, nobody waits        | release, unlock      | goes back to the store
    ///   the store's hold is lost  | (nothing)            | lost for the thread that has it; the next one
    ///                             |                      | asks the store
    std::chrono::nanoseconds local_hand_over{};
};

/// One session on one store.
class locks {
  public:
    /// For connect().
    explicit locks(std::shared_ptr<core::client> client) noexcept : client_(std::move(client)) {}

    /// Exclusive access to a name. Throws std::system_error with misuse when the name is empty or over 512
    /// bytes. No round trip.
    holdfast::mutex mutex(std::string_view name, mutex_options how = {}) const;
    /// Exclusive or shared access to a name; otherwise as mutex().
    holdfast::shared_mutex shared_mutex(std::string_view name) const;
    /// A number of permits, 1..max_permits; any other number is misuse too. Otherwise as mutex().
    holdfast::semaphore semaphore(std::string_view name, std::uint32_t permits) const;
    /// Who leads a name; otherwise as mutex().
    holdfast::election election(std::string_view name) const;

    /// Acquires the mutex of this name, calls `work(std::stop_token)` or `work(std::stop_token, const
    /// held&)` on the calling thread, and releases. The token fires when the hold is lost and when `stop`
    /// does: the work is to end soon then; its callbacks may run on the library's thread. Returns what the
    /// work returned (a result<T> as it is), or lost when the hold did not last until it returned; errors
    /// before it began as of mutex::acquire. Exceptions of the work pass through, after the release.
    /// Whoever writes elsewhere needs the token of the held: see <holdfast/guard.hpp>.
    template <typename Work>
    auto run_while_held(std::string_view name, Work work, std::stop_token stop = {}) const {
        using outcome = decltype(detail::run_and_end(held(), stop, work));
        const auto named = resource_name::make(name);
        if (!named) {
            return outcome(named.error());
        }
        auto taken = mutex(name).acquire(stop);
        if (!taken) {
            return outcome(taken.error());
        }
        return detail::run_and_end(std::move(*taken), std::move(stop), work);
    }

    /// What the topology promises.
    store_traits traits() const;

    /// The URL without its password.
    std::string url() const;

    /// Everything that stands in line, for people and monitoring; see <holdfast/admin.hpp> for how to read
    /// it. Round trips: none on local; on etcd a few, and more with many claims; on Redis one for each
    /// thousand keys of the database, whatever they are, and some for the locks among them. Within
    /// options::op_timeout as a whole. Errors: unavailable, unauthorized, unknown_outcome, misuse (an engine
    /// that cannot list, or inherited by a forked child).
    result<std::vector<resource_status>> list() const;

    /// The line of one name; without claims when it is free. A few round trips at most, within
    /// options::op_timeout as a whole. Errors as of list().
    result<resource_status> show(std::string_view name) const;

    /// Takes away every hold of the name, or only the one with this token; waiters keep their places. Returns
    /// how many holds there were. An override: the next holder may start before the broken one has stopped,
    /// and only fencing protects what both write. Round trips: none on local, one on Redis, on etcd one when
    /// it is free and otherwise four, more from 60 holds on; within options::op_timeout as a whole. Errors:
    /// unavailable, unauthorized, unknown_outcome, misuse (inherited by a forked child; a Redis key that is
    /// no lock of anybody's).
    result<std::size_t> break_holds(std::string_view name, std::optional<token> only = {}) const;

    /// Gives a standing line of permits another capacity (1..max_permits). What is appended afterwards must
    /// ask for the new number. A shrinking line takes no hold away. A free name: success, nothing to do.
    /// Round trips: none on local, one on Redis, on etcd three (one when it is free) and two more for each
    /// time that somebody appended meanwhile; within options::op_timeout as a whole. Errors: misuse (a line
    /// of the kind lock, a claim in it weighs more, or inherited by a forked child), unavailable,
    /// unauthorized, unknown_outcome.
    result<void> resize(std::string_view name, std::uint32_t permits) const;

    /// What a look at the engine finds that can break locks; the worst is for the caller to judge. A few
    /// round trips, within options::op_timeout. In a forked child one finding, an error.
    std::vector<finding> diagnose() const;

  private:
    std::shared_ptr<core::client> client_;
};

/// Connects, authenticates and checks the level. URLs:
///
///     local:    local:/folder                                          (default folder, or this one)
///     etcd://[user:password@]host:2379[,host...][/namespace]           (etcds:// with TLS)
///     redis://[user:password@]host:6379[/db]                           (rediss:// with TLS)
///     unix:///socket[?db=n]                                            (a Redis on this machine)
///     redis-sentinel://[user:password@]host:26379[,host...]/[db]?sentinelMasterId=NAME
///                                       (also redis+sentinel://; rediss-sentinel:// with TLS)
///
/// What is special in user, password and path is percent-encoded, an '@' above all (%40); a folder is taken
/// as it stands. Errors never show a password, whether or not the rest can be read.
///
/// A local folder has room for 16,384 names (each that was ever used counts, until no program uses the folder
/// any more), 1,024 sessions, and 16,382 claims in one line; beyond that acquiring says so. On Redis names
/// that begin with "holdfast:" are misuse.
///
/// Blocks for at most options::op_timeout. Opens no session yet: the first acquire does.
/// Throws std::system_error: config (URL, options), unavailable, unauthorized, level_not_met, unknown_outcome
/// (no answer in time), misuse (to etcd, in a forked child whose parent has used one).
locks connect(std::string_view url, options how = {});

/// connect() without exceptions.
result<locks> try_connect(std::string_view url, options how = {});

} // namespace holdfast
