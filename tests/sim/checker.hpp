// Watches a whole run and says which promise was broken (docs/simulator.md lists them).
//
// It sees what a program sees, and the engine's lines beside it, in true time. Called with the baton only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include <holdfast/holdfast.hpp>

#include "engine.hpp"
#include "plan.hpp"

namespace holdfast::core {
class hold;
}

namespace holdfast::sim {

/// What a thread may lose to others and to the network beside it, without any fault.
inline constexpr std::chrono::nanoseconds slack = std::chrono::milliseconds(60);

/// One hold as its owner sees it.
struct hold_record {
    process* where = nullptr;
    std::string name;
    std::uint32_t weight = 1;
    std::uint32_t capacity = 1;
    std::uint64_t token = 0;
    std::uint64_t epoch = 0;
    bool exclusive = false;
    bool lent = false; ///< From thread to thread: its token counts on from the store's.
    std::function<std::chrono::nanoseconds()> valid_for; ///< Empty once released or dropped.
    std::function<loss_reason()> reason;
    int told = 0; ///< How often lost() has fired.
    bool subscribed = false;
    bool was_valid = false;    ///< When it was released.
    bool leaves_later = false; ///< Its release begins on another thread, a while after it was asked for.
    loss_reason lost = loss_reason::none;

    bool over() const noexcept { return !valid_for; }
    /// The token that the engine knows it by.
    std::uint64_t at_engine() const noexcept;
};

/// One call of an acquiring function.
struct call_record {
    enum class kind { patient, at_once, timed };
    std::uint64_t number = 0;
    kind how = kind::patient;
    std::string name;
    std::chrono::nanoseconds limit{};
    bool stop_asked = false;
    bool together = false; ///< Of several names at once; `part` is which of them.
    std::size_t part = 0;
    true_time began{};
    instant began_local{};
    std::chrono::nanoseconds paused_before{};
    std::uint64_t epoch = 0;          ///< Of the engine when it began.
    std::uint64_t highest_before = 0; ///< Of the exclusive holds of this name that had ended.
};

class checker {
  public:
    checker(kernel& in, engine& behind, const plan& of, tally& count);

    std::shared_ptr<call_record> begins(call_record::kind how, const std::string& name,
                                        std::chrono::nanoseconds limit);
    void fails(const call_record& call, const error& why);
    void granted(const call_record& call, const std::shared_ptr<hold_record>& hold);
    /// Looks at the hold now; true while it is valid.
    bool observe(hold_record& hold);
    void told(hold_record& hold);
    /// Before and after a release; `outcome` is empty for a destructor.
    void releasing(const std::shared_ptr<hold_record>& hold);
    void released(const hold_record& hold, instant began, std::chrono::nanoseconds paused_before,
                  const std::optional<result<void>>& outcome);
    /// After a release and a while.
    void settled(const hold_record& hold);
    /// A write to what the hold protects arrives there.
    void write(hold_record& hold);
    /// For holds that are observed by nobody: the alarm must have seen their end.
    void audit();
    void appended(const std::shared_ptr<claim_events>& entry);
    /// When all is over.
    void nothing_left();

    // witnesses.cpp: elections, work under a lock, administrators, and sinks.

    /// What one sink has heard.
    struct listener {
        process* where = nullptr;
        std::set<std::pair<std::string, std::uint64_t>> open; ///< Acquired, and no end was told.
    };
    std::vector<std::shared_ptr<listener>> listeners(process& where, std::size_t count);
    void hears(listener& ear, const event& what);
    /// When nothing of its client is left.
    void all_told(const listener& ear);

    /// A proposal that nobody has made before.
    std::string proposes();
    /// The hold's proposal is this. A campaign may have led with it before, without coming to know.
    void leads(const hold_record& hold, const std::string& proposal, bool campaign);
    /// After proclaim(); `valid`: the hold was, before.
    void proclaimed(hold_record& hold, const std::string& proposal, bool valid, const result<void>& outcome,
                    instant began, std::chrono::nanoseconds paused_before);
    /// One call of observe().
    struct follower {
        true_time began{};
        std::chrono::nanoseconds paused_before{};
        std::uint64_t epoch = 0;
        bool any = false;
        std::optional<leader> last;
    };
    follower follows();
    void told_leader(follower& who, const std::optional<leader>& now);
    void followed(const follower& who, const result<void>& outcome, bool stopped);
    /// After run_while_held.
    void worked(const hold_record& hold, const result<int>& outcome);
    /// After an administrator's request; no code: success.
    void administered(true_time began, std::chrono::nanoseconds paused_before, errc code);

    /// Something happened that may be felt until `recovery()` later.
    void trouble(true_time until) { trouble_ = std::max(trouble_, until); }
    void violation(const std::string& what);
    const std::vector<std::string>& violations() const noexcept { return violations_; }
    std::size_t live_holds_of(const process& whom) const;
    std::size_t calls_of(const process& whom) const;

  private:
    bool troubled(true_time since) const noexcept;
    bool excused(const hold_record& hold) const { return excused_.contains({hold.epoch, hold.at_engine()}); }
    bool ghost(const process& whom) const noexcept { return whom.crashed; }
    /// Says so when the call's claims stand longer than it said.
    void check_end(true_time by, true_time returned, std::uint64_t call, const std::string& what);
    void check_overlap(const hold_record& fresh);
    std::string shown(const hold_record& hold) const;

    kernel& kernel_;
    engine& engine_;
    const plan& plan_;
    tally& tally_;
    true_time trouble_{-1};
    std::uint64_t calls_ = 0;
    std::vector<std::shared_ptr<hold_record>> live_;
    std::map<const process*, std::size_t> waiting_;
    /// Epoch and token, to the time at which it must be known to be lost.
    std::map<std::pair<std::uint64_t, std::uint64_t>, true_time> excused_;
    std::set<std::pair<std::uint64_t, std::uint64_t>> tokens_;
    std::map<std::pair<std::string, std::uint64_t>, std::uint64_t> highest_ended_;
    std::map<std::string, std::uint64_t> fences_;
    std::uint64_t proposals_ = 0;
    /// A proposal to the least and the largest token that it may be shown with.
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> leaders_;
    std::vector<std::pair<process*, std::weak_ptr<core::hold>>> claims_;
    std::vector<std::string> violations_;
};

} // namespace holdfast::sim
