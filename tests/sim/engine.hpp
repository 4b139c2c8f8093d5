// The simulated lock engine: lines of claims with leases in true time, in one place and without faults of its
// own. What goes wrong on the way to it is the network's business (network.hpp).
//
// Two kinds by setting: the lease belongs to the session, as on etcd, or to each claim, as on Redis. Called
// with the baton only, by events and threads alike; it never waits.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <holdfast/store.hpp>

#include "kernel.hpp"

namespace holdfast::sim {

using session_key = std::array<std::uint8_t, 16>;

/// What the engine tells a session of its own accord.
struct notice {
    claim_id id;
    std::uint64_t sequence = 0; ///< Of the append it belongs to.
    std::uint64_t token = 0;    ///< Granted, when not 0.
    loss_reason gone = loss_reason::none;
};

class engine {
  public:
    struct settings {
        bool lease_per_claim = false;
        bool fast = false; ///< It is on the same machine: a free lock is had without a request, as on the
                           ///< local store.
        bool tokens_restart = false;           ///< A restart begins to count anew; else tokens always rise.
        int ttl_percent = 100;                 ///< Of what was asked for: some engines grant more.
        std::chrono::nanoseconds expiry_lag{}; ///< How late an ended lease is noticed.
    };
    struct answer {
        enum class kind { granted, waiting, busy, misuse, lost, stale } what = kind::stale;
        std::uint64_t token = 0;
    };
    /// One claim as a line keeps it.
    struct standing {
        claim_id id;
        std::uint64_t sequence = 0;
        std::uint32_t weight = 1;
        std::uint32_t capacity = 1;
        bool foreign = false;
        std::uint64_t token = 0; ///< 0 while it waits.
        true_time ends = never;  ///< Its own lease.
        std::uint64_t arrival = 0;
        std::uint64_t call = 0; ///< The simulated caller's, for the checker.
        std::string proposal = {};
        std::uint64_t proclaimed = 0; ///< The request that wrote the proposal.
        bool late = false;            ///< Its request came when the caller no longer waited for an answer.
    };

    engine(kernel& in, settings how) : kernel_(in), how_(how) {}

    const settings& how() const noexcept { return how_; }
    std::chrono::nanoseconds granted_ttl(std::chrono::nanoseconds asked) const noexcept {
        return asked * how_.ttl_percent / 100;
    }

    // What a store asks. `sequence` rises with each request about one claim: what has been overtaken by a
    // later one does nothing.
    void open(const session_key& who, std::chrono::nanoseconds ttl);
    bool renew(const session_key& who);
    void close(const session_key& who);
    answer append(const claim& what, std::uint64_t sequence, bool only_if_free, std::chrono::nanoseconds ttl,
                  std::uint64_t call, bool late);
    void remove(const claim& what, std::uint64_t sequence);
    /// The same where nobody else is in line; false otherwise, and where it is not there.
    bool remove_alone(const claim& what);
    /// Gives a standing line of permits another capacity; false where it is none, or a claim in it weighs
    /// more.
    bool resize(const std::string& name, std::uint32_t permits);
    /// Extends one claim's lease; false when it is not there.
    bool renew_claim(const claim& what, std::uint64_t sequence, std::chrono::nanoseconds ttl);
    /// How it stands: granted, waiting, or lost.
    answer look(const claim& what, std::uint64_t sequence) const;

    /// Replaces the proposal of a claim that holds; false when it does not.
    bool proclaim(const claim& what, std::uint64_t sequence, const std::string& proposal);
    resource_status show(const std::string& name) const;

    // What else happens to an engine.
    void forget_everything();
    /// Ends a session as an administrator may; false when there is none.
    bool revoke(std::size_t which);
    /// All of them, or the one with this token.
    std::size_t break_holds(const std::string& name, std::optional<token> only = {});
    void foreign_takes(const std::string& name, true_time until);
    /// Counts its restarts.
    std::uint64_t epoch() const noexcept { return epoch_; }

    // What the checker asks.
    const std::vector<standing>* line(const std::string& name) const;
    std::vector<std::string> leftovers() const;
    std::size_t sessions() const noexcept { return sessions_.size(); }
    /// Late ones excepted: nobody can promise anything about them.
    std::size_t claims_of(std::uint64_t call) const;
    bool holds(const std::string& name, std::uint64_t token) const;
    /// Whether a claim of this call is on a session that was renewed later than that.
    bool renewed_since(std::uint64_t call, true_time when) const;

    /// Where notices go.
    std::function<void(const session_key& to, const notice& what)> tell;
    /// This hold is not exclusive any more, by somebody's will or by accident. `ended`: nor can it be
    /// renewed.
    std::function<void(std::uint64_t token, bool ended)> excused;
    std::function<void(const std::string& what)> violation;
    std::function<void(const session_key& whose)> expired;

  private:
    struct session {
        std::chrono::nanoseconds ttl{};
        true_time ends = never;
        true_time renewed{};
    };
    using line_of = std::vector<standing>;

    /// `answered` hears of its grant in another way.
    void settle(const std::string& name, line_of& line, const claim_id* answered = nullptr);
    void watch_session(const session_key& who, true_time ends);
    void watch_claim(const std::string& name, const claim_id& id, true_time ends);
    void drop(const session_key& who, loss_reason why);
    void excuse(const line_of& line, const session_key* of, bool ended) const;

    kernel& kernel_;
    const settings how_;
    std::map<session_key, session> sessions_;
    std::set<session_key> closed_;
    std::map<std::string, line_of> lines_;
    std::map<claim_id, std::uint64_t> sequences_;
    std::uint64_t last_token_ = 1000;
    std::uint64_t arrivals_ = 0;
    std::uint64_t epoch_ = 0;
};

} // namespace holdfast::sim
