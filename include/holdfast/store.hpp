// The store contract: the little that differs between lock engines.
//
// A store keeps, for every resource, a line of claims, and grants the longest prefix of it that fits the
// capacity (see src/core/line.hpp). The core on top of it (sessions, renewal, the acquire machine, the faces)
// is the same for every engine. A store is one process's connection to one engine; it is thread-safe.
//
// Contract in short
//  * Requests are asynchronous: append() and remove() return at once, their outcome reaches the claim's
//    claim_events, possibly before the call returns and on any thread, never under a lock of the store.
//  * append() is idempotent by claim id: repeated after an unknown outcome it finds the claim that stands.
//  * A claim that waits is granted without being asked again; nothing is missed between append and grant.
//  * remove() takes away our own claim only, whether it waits or holds, and may be repeated.
//  * Every request ends within the time limit the store was made with; afterwards its outcome is
//  unknown_outcome,
//    or unavailable where it is certain that nothing was sent.
//  * A store never repeats a request that may have been executed, except by the same claim id.
//  * A lease is counted by the core from before the request was sent; see on_granted and on_renewed.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <holdfast/types.hpp>

namespace holdfast {

/// The clock a store's leases are counted on. Never a wall clock.
enum class clock_source {
    boottime,  ///< Goes on in suspend: every network store.
    monotonic, ///< Stops in suspend, as everybody who shares the machine does: the local store.
};

/// Nanoseconds on the store's clock_source. Instants of two sources must not be mixed.
struct store_clock {
    /// @cond
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<store_clock>;
    static constexpr bool is_steady = true;
    /// @endcond
};
using instant = store_clock::time_point;

/// The present instant: one vDSO clock read. Never throws.
instant now(clock_source source) noexcept;

/// What this topology promises, known once store::check has succeeded.
struct store_traits {
    std::string engine;                          ///< "local", "etcd", "redis".
    level gives = level::efficiency;             ///< The strongest level it can give.
    std::string why;                             ///< Why not a stronger one; empty at fenced.
    clock_source clock = clock_source::boottime; ///< What its leases are counted on.
    bool lease_per_claim = false;                ///< true: every claim expires by itself (Redis).
    std::chrono::nanoseconds min_ttl{};          ///< Smaller TTLs are refused with config.
    std::chrono::nanoseconds max_ttl{}; ///< Larger TTLs are refused with config, but for until_death.
    bool until_death = false;           ///< It takes until_death as a TTL.
    bool hints = false;                 ///< Its sessions may have hints.
};

/// Who holds or waits, for people; it never decides anything.
struct holder_info {
    std::string user;     ///< The name of the effective user.
    std::string host;     ///< The machine's own name.
    std::int64_t pid = 0; ///< As the process itself sees it.
    std::string command;  ///< The program's name, or what `holdfast run` runs. At most 128 bytes.
    std::string why;      ///< Free text of the caller's. At most 128 bytes.
};

/// One place in a line, as it is asked for.
struct claim {
    resource_name name;       ///< Whose line.
    claim_id id;              ///< Which claim.
    std::uint32_t weight = 1; ///< 1..capacity
    std::uint32_t capacity =
        lock_capacity; ///< lock_capacity: the kind *lock*; else *permits*, 1..max_permits
    /// Elections: what observers read while this claim leads, at most max_proposal bytes. The store shows it
    /// (claim_status::proposal) from the grant on, or before.
    std::optional<std::string> proposal = {};
};

/// The longest proposal of an election's candidate, in bytes.
inline constexpr std::size_t max_proposal = 512;

/// A caller's place to sleep. One thread waits, any thread notifies. Notifications are not counted.
class parking_place {
  public:
    /// Wakes the waiter, now or at its next wait. Async-signal-safe.
    void notify() noexcept;
    /// True from notify() until reset().
    bool notified() const noexcept { return word_.load(std::memory_order_acquire) == called; }
    /// Makes the place ready for the next wait.
    void reset() noexcept { word_.store(idle, std::memory_order_release); }
    /// Sleeps until notified or until the instant has passed on the source; may return early.
    void wait_until(instant until, clock_source source) noexcept;

  private:
    static constexpr std::uint32_t idle = 0;
    static constexpr std::uint32_t called = 1;
    static constexpr std::uint32_t asleep = 2; ///< Only then does a notification need a system call.
    std::atomic<std::uint32_t> word_{idle};
};

/// One claim's life, told by the store. Calls for one claim never overlap.
/// The store keeps a reference from append() until on_refused, on_lost or on_removed.
class claim_events {
  public:
    /// A claim about to be appended.
    explicit claim_events(struct claim what) : claim_(std::move(what)) {}
    virtual ~claim_events() = default;
    claim_events(const claim_events&) = delete;
    claim_events& operator=(const claim_events&) = delete;

    /// What is asked for. The same for life.
    const struct claim& claim() const noexcept { return claim_; }

    /// It stands in line and will be granted in turn. At most once per append.
    virtual void on_waiting() noexcept = 0;
    /// It holds now. At most once per claim; a repeated append of a granted claim reports it again.
    virtual void on_granted(token granted) noexcept = 0;
    /// The append did not give it a place: busy (only_if_free), misuse (other kind or capacity, line full),
    /// unauthorized, lost (the engine
    /// does not know the session any more), unavailable (certainly not in line), unknown_outcome (perhaps in
    /// line: append again or remove).
    virtual void on_refused(error why) noexcept = 0;
    /// lease_per_claim only: a renewal sent at this instant has extended this claim's lease to sent_at + TTL.
    virtual void on_renewed(instant sent_at) noexcept = 0;
    /// It stood in line or held, and is gone, by proof from the store.
    virtual void on_lost(loss_reason why) noexcept = 0;
    /// remove() ended. Success: nothing of it is left (also when there was nothing, or when it had been
    /// lost). lost: the same, and the store is sure that it had held, and held no more when the removal came.
    virtual void on_removed(result<void> outcome) noexcept = 0;

    /// Where a blocking caller sleeps; every on_* above notifies it after having taken effect.
    parking_place place;
    /// Set before append() by a caller who will drive() the claim at once if it has to wait, or remove() it:
    /// until then the store need not look after it by itself.
    bool will_be_driven = false;
    /// For the store that carries the claim; the core does not touch it. Guarded by that store.
    std::shared_ptr<void> store_data;

  private:
    struct claim claim_;
};

/// A synchronous way in and out for one claim shape (name, weight, capacity), on the caller's thread.
/// Thread-safe.
class fast_path {
  public:
    virtual ~fast_path() = default;
    /// Acquires if that needs no waiting and no system call. A zero token: take the slow path.
    /// On success `ticket` identifies the hold for the two calls below.
    virtual token try_acquire(std::uint64_t& ticket) noexcept = 0;
    /// After try_acquire() gave nothing: stands in line and waits on this thread, for as long as it takes,
    /// until it holds. A zero token: not possible, or its session has ended; nothing of it is left in the
    /// line, or it ends with the session. The default never waits.
    /// `written_next`: the caller will write there as soon as this returns, and would like to find it near.
    virtual token wait_and_acquire(std::uint64_t& ticket, const void* written_next) noexcept;
    /// release() of a hold that is not followed, without a look at this object: who keeps a copy beside his
    /// own data spares himself the memory that has gone cold while he held. Works as long as the path lives.
    /// Nothing by default: call release().
    struct way_out {
        /// As fast_path::release(); null where there is no such way.
        bool (*release)(const way_out& by, std::uint64_t ticket) noexcept = nullptr;
        fast_path* path = nullptr;     ///< Whose way it is.
        std::array<void*, 2> places{}; ///< The store's own.
        std::uint64_t mark = 0;        ///< The store's own.
    };
    /// The way out of the holds of this path.
    virtual way_out direct_release() noexcept;
    /// Ends the hold. false: not possible in this way, or no longer ours; call remove().
    virtual bool release(std::uint64_t ticket) noexcept = 0;
    /// Whether the store still shows this hold: one load.
    virtual bool holds(std::uint64_t ticket) const noexcept = 0;
    /// From now on `entry` is told by on_lost as soon as the store comes to know that this hold is gone
    /// (broken, revoked), until release() or remove(). The default tells nothing: holds() is asked from time
    /// to time. Never blocks for long.
    virtual void follow(std::uint64_t ticket, std::shared_ptr<claim_events> entry);
    /// Ends a hold that release() could not: hands over to waiters. Never blocks for long. Idempotent.
    virtual void remove(std::uint64_t ticket) noexcept = 0;
};

/// What a renewal came to.
struct renewal {
    instant sent_at;                ///< Before the request that succeeded was sent.
    std::chrono::nanoseconds ttl{}; ///< As granted by the engine.
};

/// Tells that a session may be over before its lease is. Used by one thread, while the session exists.
class session_hints {
  public:
    virtual ~session_hints() = default;
    /// A descriptor that poll(2) finds readable when there is something to heed. The same for life.
    virtual int fd() const noexcept = 0;
    /// Reads what is there; whether the session is to be renewed at once, which then says what is the case.
    /// The first call looks at everything that may have been before. Never blocks for long.
    virtual bool heed() noexcept = 0;
};

/// One process's presence in a store. All its claims end with it. Thread-safe.
class store_session {
  public:
    virtual ~store_session() = default;

    /// When and for how long the engine granted it.
    virtual renewal opened() const noexcept = 0;

    /// Extends the session's lease; with lease_per_claim every claim's, each told by on_renewed or on_lost.
    /// Blocks, at most until give_up; called by one thread at a time.
    /// Errors: lost (the engine does not know the session any more), unavailable, unauthorized,
    /// unknown_outcome.
    virtual result<renewal> renew(instant give_up) = 0;

    /// With store_traits::hints, asked once, when the session has lived for a moment; null where the system
    /// gives none (any more): the next renewal finds it then. The default has none.
    virtual std::unique_ptr<session_hints> hints();

    /// Ends the session and removes all its claims. Blocks at most until give_up; idempotent; quiet.
    virtual void close(instant give_up) noexcept = 0;

    /// Puts the claim in line, or finds it there. only_if_free: granted at once, or on_refused(busy) and no
    /// trace.
    virtual void append(std::shared_ptr<claim_events> entry, bool only_if_free) = 0;

    /// Takes our own claim out of the line, in whatever state it is; ends in on_removed.
    virtual void remove(std::shared_ptr<claim_events> entry) = 0;

    /// Lends the calling thread to the store until entry.place is notified or the instant has passed; may
    /// return early. The default sleeps; a store that does its I/O or waiting on the caller's thread
    /// overrides it.
    virtual void drive(claim_events& entry, instant until);

    /// Makes a thread in drive(entry) return soon. The default needs no more than entry.place.notify().
    virtual void interrupt(claim_events& entry) noexcept;

    /// Replaces the proposal of a claim that holds. Blocks, at most until give_up.
    /// Errors: lost (it does not hold any more; nothing was written), misuse (too long, or the store has no
    /// proposals), unavailable, unauthorized, unknown_outcome.
    virtual result<void> proclaim(claim_events& entry, std::string_view proposal, instant give_up);

    /// The key under which the engine keeps this claim, for guards and for people; empty where there is none.
    /// etcd: the claim's own key. Redis: the gate. Known once it has been appended.
    virtual std::string engine_key(const claim_events& entry) const;

    /// Where a process that must outlive us in the eyes of others can say that it lives; nothing on a store
    /// where a session does not end with its process anyway. `holdfast run` puts its guard there: whoever is
    /// next must not begin before the guard has ended what the hold protected.
    virtual std::optional<life_word> second_life() const noexcept;

    /// Starts what the store has left out for options::threads_later, if anything; idempotent. Throws
    /// std::system_error where the system has no thread left.
    virtual void start_threads();

    /// A synchronous path for claims of this shape, or null. Valid while the session is.
    virtual std::shared_ptr<fast_path> fast(const claim& shape);
};

/// What a new session asks for.
struct session_request {
    std::array<std::uint8_t, 16> id{}; ///< The session part of its claim ids.
    std::chrono::nanoseconds ttl{};    ///< As options::ttl.
    holder_info who;                   ///< For people.
};

/// One claim as `ls` shows it.
struct claim_status {
    std::string id;                 ///< The engine's own word for it: a claim id, a key, a value.
    bool holds = false;             ///< Or waits.
    std::uint32_t weight = 0;       ///< Of the line's capacity.
    std::uint64_t token = 0;        ///< 0 while waiting, or where a foreign client has none.
    bool foreign = false;           ///< Not made by Holdfast.
    bool stale = false;             ///< Past its lease, or its process is gone; nobody has cleaned up yet.
    std::optional<holder_info> who; ///< Where the store knows.
    std::optional<std::chrono::system_clock::time_point> since; ///< Since it holds or waits.
    std::optional<std::chrono::nanoseconds>
        ttl_left;                             ///< Until it ends by itself unless renewed; or until_death.
    std::optional<std::string> proposal = {}; ///< Of an election's leader; candidates' where it is known.
};

/// One resource as `ls` shows it: its line, holders first, in order.
struct resource_status {
    std::string name;                       ///< Opaque bytes.
    std::uint32_t capacity = lock_capacity; ///< lock_capacity, or the number of permits.
    std::vector<claim_status> claims;       ///< The line.
};

/// One thing that `doctor` looked at.
struct finding {
    /// fine: as it should be. warning: works, but promises less or may break later. error: breaks locks.
    enum class severity { fine, warning, error };
    severity how = severity::fine; ///< How bad it is.
    std::string what;              ///< What was looked at: a short, stable word, e.g. "eviction".
    std::string seen;              ///< What was found, as a sentence.
    std::string remedy;            ///< What to do about it; empty when fine.
};

/// One process's connection to one lock engine.
class store {
  public:
    virtual ~store() = default;

    /// Known after check().
    virtual store_traits traits() const = 0;

    /// Reaches the engine, authenticates, and learns the topology. Blocks, at most until give_up.
    /// Errors: unavailable, unauthorized, config; each message names the endpoint and a remedy, never a
    /// password.
    virtual result<void> check(instant give_up) = 0;

    /// Opens a session. Blocks, at most until give_up.
    virtual result<std::shared_ptr<store_session>> open(const session_request& request, instant give_up) = 0;

    /// Every resource with a claim in line. Blocks, at most until give_up.
    virtual result<std::vector<resource_status>> list(instant give_up) = 0;

    // For administrators. Each blocks at most until give_up. Errors, besides the ones named: unavailable,
    // unauthorized, unknown_outcome.

    /// The line of one name, without claims when it is free. The default looks for it in list().
    virtual result<resource_status> show(const resource_name& name, instant give_up);

    /// Takes away every hold of the name, or only the one with this token; waiters keep their places and are
    /// granted in turn, and whoever held is told by on_lost(broken) as soon as it can be reached. Foreign
    /// holds are taken away too. Returns how many there were: 0 when the name was free, or no hold had the
    /// token.
    virtual result<std::size_t> break_holds(const resource_name& name, std::optional<token> only,
                                            instant give_up);

    /// Gives a standing line of permits another capacity; claims that fit now are granted. Every claim that
    /// is appended afterwards must ask for the new number. A line that shrinks takes nothing away: it grants
    /// again once enough has been released. A free name has nothing to resize: success.
    /// Errors: misuse (the line is of the kind lock, a claim in it weighs more than permits, or permits are
    /// not within 1..max_permits).
    virtual result<void> resize(const resource_name& name, std::uint32_t permits, instant give_up);

    /// Calls `changed`, on any thread and never under a lock of the store, whenever the name's line or
    /// proposal may have changed, until the returned object is destroyed. A hint: show() tells what it is
    /// now. Null where the engine does not tell: ask again after a pause.
    virtual std::shared_ptr<void> watch(const resource_name& name, std::function<void()> changed);

    /// Looks for what breaks locks on this engine: reachability, round trip against the TTL, clocks, and what
    /// is particular to it. An engine that cannot be reached is a finding, not an error.
    virtual std::vector<finding> diagnose(std::chrono::nanoseconds ttl, instant give_up);
};

} // namespace holdfast
