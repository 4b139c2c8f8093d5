// One simulated session: requests over the network, and the engine's notices. Private to the simulated store.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "store.hpp"

namespace holdfast::sim {

template <typename T>
struct question {
    std::optional<T> answered;
};

inline error not_sent() {
    return {errc::unavailable, "the simulated engine is out of reach"};
}

inline error no_answer() {
    return {errc::unknown_outcome, "the simulated engine did not answer in time"};
}

/// Sends and waits. `ask` is run at the engine.
template <typename T, typename Ask>
result<T> round_trip(backend& to, const std::shared_ptr<link>& over, instant give_up, Ask ask) {
    const auto open = std::make_shared<question<T>>();
    give_up = std::min(give_up, to.on.now() + to.op_timeout);
    const bool sent = over->send([&to, over, open, ask] {
        over->reply([&to, open, value = ask()] {
            open->answered = value;
            to.on.wake(open.get());
        });
    });
    if (!sent) {
        return not_sent();
    }
    while (!open->answered && to.on.now() < give_up) {
        to.on.sleep(open.get(), give_up);
    }
    if (!open->answered) {
        return no_answer();
    }
    return *open->answered;
}

class sim_session final : public store_session, public std::enable_shared_from_this<sim_session> {
  public:
    sim_session(backend& to, std::shared_ptr<link> over, const session_request& request, instant sent_at)
        : to_(to), link_(std::move(over)), id_(request.id),
          asked_ttl_(request.ttl), opened_{.sent_at = sent_at, .ttl = to.behind.granted_ttl(request.ttl)} {}
    ~sim_session() override { to_.listeners.erase(id_); }
    sim_session(const sim_session&) = delete;
    sim_session& operator=(const sim_session&) = delete;

    void begin();
    void look();

    renewal opened() const noexcept override { return opened_; }
    result<renewal> renew(instant give_up) override;
    void close(instant give_up) noexcept override;
    void append(std::shared_ptr<claim_events> entry, bool only_if_free) override;
    void remove(std::shared_ptr<claim_events> entry) override;
    result<void> proclaim(claim_events& entry, std::string_view proposal, instant give_up) override;
    std::shared_ptr<fast_path> fast(const claim& shape) override;

    // What its fast paths ask.
    bool usable() const noexcept { return !closed_ && !link_->whose().crashed; }
    claim next_fast(const claim& shape);
    void follow(const claim& what, std::shared_ptr<claim_events> entry);
    void unfollow(const claim& what) { followed_.erase(what.id.number); }
    backend& to() noexcept { return to_; }

  private:
    enum class state { appending, standing, holding, removing };
    struct entry_record {
        std::shared_ptr<claim_events> events;
        std::uint64_t sequence = 0;
        state now = state::appending;
    };
    using asked = std::vector<std::pair<claim, std::uint64_t>>;

    entry_record* find(std::uint64_t number, std::uint64_t sequence);
    std::shared_ptr<claim_events> forget(std::uint64_t number);
    void answered(std::uint64_t number, std::uint64_t sequence, const engine::answer& what);
    void removed(std::uint64_t number, std::uint64_t sequence, const result<void>& outcome);
    void told(const notice& what);
    void looked(const asked& about, const std::vector<engine::answer>& found);
    asked acknowledged() const;
    void look_later();

    backend& to_;
    const std::shared_ptr<link> link_;
    const session_key id_;
    const std::chrono::nanoseconds asked_ttl_;
    const renewal opened_;
    std::map<std::uint64_t, entry_record> entries_;
    std::uint64_t sequence_ = 0;
    bool closed_ = false;
    bool will_look_ = false;
    /// Holds of the fast path that somebody wants to hear of.
    std::map<std::uint64_t, std::pair<claim, std::shared_ptr<claim_events>>> followed_;
    std::uint64_t last_fast_ = first_fast;
    static constexpr std::uint64_t first_fast = std::uint64_t{1} << 40; ///< No other claim has such a number.
};

} // namespace holdfast::sim
