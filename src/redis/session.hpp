// One process's claims on one Redis master.
//
// append() and remove() only hand an order in; everything else happens inside the loop, so that the records
// need no lock and a claim's events never overlap.
//
//   phase       | becomes                  | by
//   ------------+--------------------------+------------------------------------------------------------------
//   appending   | holding, waiting, gone   | the script's reply; a message that overtakes it
//   appending   | subscribing              | "busy" while nobody would tell us of a hand-over
//   subscribing | appending, gone          | the subscription stands; it cannot
//   waiting     | holding, gone            | message, poll or renewal
//   holding     | gone                     | a renewal that finds nothing of it
//   any         | removing                 | remove()
#pragma once

#include <optional>
#include <unordered_map>

#include "engine.hpp"

namespace holdfast::redis {

class session final : public store_session, public listener, public std::enable_shared_from_this<session> {
  public:
    /// The longest line. Beyond it an append is refused.
    static constexpr long longest_line = 100'000;

    session(std::shared_ptr<engine> shared, const session_request& request);

    /// Leaves the note. Once, before anything else. Errors: unavailable, unauthorized, unknown_outcome.
    result<void> begin(instant give_up);

    renewal opened() const noexcept override { return opened_; }
    result<renewal> renew(instant give_up) override;
    void close(instant give_up) noexcept override;
    void append(std::shared_ptr<claim_events> entry, bool only_if_free) override;
    void remove(std::shared_ptr<claim_events> entry) override;
    void drive(claim_events& entry, instant until) override;
    void interrupt(claim_events& entry) noexcept override;
    result<void> proclaim(claim_events& entry, std::string_view proposal, instant give_up) override;
    /// The gate's name.
    std::string engine_key(const claim_events& entry) const override { return entry.claim().name.bytes(); }

    void on_subscribed() override;
    void on_message(std::string_view text) override;
    bool on_unsubscribed(const error& why) override;
    void on_key_gone(const std::string& key) override;

  private:
    enum class phase { gone, appending, subscribing, waiting, holding, removing };
    struct record;
    struct batch;
    using record_ptr = std::shared_ptr<record>;
    using batch_ptr = std::shared_ptr<batch>;
    enum class purpose { append, renew, remove };
    struct question {
        purpose what;
        bool only_if_free = false;
        instant give_up{};
        batch_ptr part_of{};  ///< The renewal or close that waits for the answer.
        unsigned attempt = 0; ///< Counts NOSCRIPT answers.
        bool whole = false;   ///< EVAL with the text, not EVALSHA.
    };

    instant time_limit() const;
    void ask(const record_ptr& of, question what);
    void answered(const record_ptr& of, const question& what, const result<reply>& outcome, instant sent_at);
    void begin_append(const std::shared_ptr<claim_events>& entry, bool only_if_free, instant asked_at);
    void send_append(const record_ptr& of);
    void append_answered(const record_ptr& of, const question& what, const reply& got, instant sent_at);
    void renew_together(std::vector<record_ptr> claims, instant give_up, const batch_ptr& all, bool whole);
    void renew_answered(const record_ptr& of, const reply& got, instant sent_at);
    void remove_answered(const record_ptr& of, const result<reply>& outcome);
    void send_remove(const record_ptr& of);
    bool remove_again(const record_ptr& of, const result<reply>& outcome);
    void subscribe();
    void subscribe_for(const record_ptr& of);
    void begin_remove(const std::shared_ptr<claim_events>& entry);

    static void know(claim_events& entry);
    record_ptr record_for(const std::shared_ptr<claim_events>& entry);
    void set_phase(record& of, phase to);
    void forget(const record_ptr& of);
    void plan_poll(const record_ptr& of, long long code);
    void watch_gate(const record_ptr& of);
    void unwatch_gate(record& of);
    void look(const record_ptr& of);
    void poll(const record_ptr& of);
    void grant(const record_ptr& of, std::uint64_t token);
    void refuse(const record_ptr& of, error why);
    void lose(const record_ptr& of, loss_reason why);
    bool is_over(const record& of) const;
    void give_up(const record_ptr& of);
    template <typename Event>
    void tell(const record_ptr& of, Event event);
    result<void> wait_for(const batch_ptr& all, instant give_up);
    void finish(const batch_ptr& all, const result<reply>& outcome);

    const std::shared_ptr<engine> engine_;
    const std::string text_; ///< 32 digits: in our claims' ids, the channel and the note.
    const std::string channel_;
    const std::string note_;
    const std::chrono::milliseconds ttl_;
    const std::string ttl_text_;
    renewal opened_;

    // Inside the loop only.
    std::unordered_map<std::uint64_t, record_ptr> records_;
    /// By gate: those who wait for a foreign holder of whose leaving the server tells.
    std::unordered_map<std::string, std::vector<record_ptr>> behind_foreigners_;
    bool subscribed_ = false;
    bool subscribing_ = false; ///< It has been asked for, and is neither confirmed nor refused.
    bool closed_ = false;
};

} // namespace holdfast::redis
