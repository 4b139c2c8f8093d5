// A store in memory, for tests only: the contract in its simplest form, and a place to inject faults.
//
// It shows that the contract suite can be fulfilled, and lets the core be tested against outcomes that a
// healthy server does not give. Thread-safe. Nothing of it is shipped.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <holdfast/store.hpp>

namespace holdfast::testing {

/// The "server": lines that several reference stores share.
class reference_engine {
  public:
    reference_engine();
    /// Waits until nobody is connected any more: sessions end on threads of their own, perhaps a little
    /// later.
    ~reference_engine();
    reference_engine(const reference_engine&) = delete;
    reference_engine& operator=(const reference_engine&) = delete;

    // Faults. Each takes effect at once.
    std::atomic<bool> unreachable{false};       ///< Nothing is sent: unavailable.
    std::atomic<bool> silent{false};            ///< Requests are lost on the way, without an answer.
    std::atomic<int> append_replies_to_lose{0}; ///< Executed, then unknown_outcome.
    std::atomic<int> removals_to_fail{0};       ///< Not executed, unavailable.
    std::atomic<std::int64_t> token_step{1};    ///< Negative: a store restored from an old snapshot.
    std::atomic<bool> lease_per_claim{false};   ///< Set before connecting: claims are renewed one by one.
    std::atomic<bool> never_expires{false};     ///< The engine's clock stands still.
    /// Ends every session, as a restart without persistence does; holders hear of it at their next renewal.
    void forget_everything();
    /// Takes away every claim of a name and tells its owner.
    void take_away(const std::string& name, loss_reason why);

    std::size_t claims_in(const std::string& name);
    std::size_t sessions();
    /// How many stores there are: a session keeps its own until it has ended.
    long connections() const { return connected_.use_count() - 1; }
    std::atomic<int> opens{0};
    std::atomic<int> appends{0};
    std::atomic<int> renewals{0};

    std::unique_ptr<store> connect();

  private:
    friend class reference_store;
    friend class reference_session;

    struct claim_record {
        std::shared_ptr<claim_events> events;
        std::uint64_t session = 0;
        std::uint64_t token = 0;    ///< 0 while it waits.
        std::uint32_t capacity = 0; ///< Of its line, which a resize changes.
        std::optional<std::string> proposal;
        std::chrono::system_clock::time_point since;
    };
    struct session_record {
        holder_info who;
        std::chrono::nanoseconds ttl{};
        instant ends;
    };
    using deliveries = std::vector<std::pair<std::shared_ptr<claim_events>, std::uint64_t>>;

    void drop_sessions_locked(const std::vector<std::uint64_t>& ended);
    void grant_locked(const std::string& name, deliveries& out);
    deliveries settle_locked();
    static void deliver(const deliveries& granted);
    void expire_loop();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::map<std::string, std::vector<claim_record>> lines_;
    std::map<std::uint64_t, session_record> sessions_;
    std::uint64_t last_session_ = 0;
    std::uint64_t last_token_ = 1000;
    bool stopping_ = false;
    std::shared_ptr<int> connected_ = std::make_shared<int>(); ///< Every store has a copy.
    std::thread expiry_;
};

} // namespace holdfast::testing
