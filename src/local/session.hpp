// The store's session: append, wait, remove, on top of lines and seats.
//
// Thread-safe. Nothing here blocks but drive(). What becomes of claims that no thread drives, and of holds,
// is seen by the store's thread (attend(), in attending.cpp), at every renewal, and by nobody in between.
#pragma once

#include <array>
#include <bitset>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/annotations.hpp"

#include "engine.hpp"
#include "followed.hpp"
#include "life.hpp"
#include "own_claim.hpp"
#include "place.hpp"
#include "seat.hpp"
#include "waiting.hpp"

namespace holdfast::local {

class session final : public store_session, public attended, public std::enable_shared_from_this<session> {
  public:
    explicit session(std::shared_ptr<seat> on)
        : seat_(std::move(on)), followed_(std::make_shared<followed_holds>(seat_)) {}
    ~session() override;

    renewal opened() const noexcept override { return seat_->opened(); }
    result<renewal> renew(instant give_up) override;
    void close(instant give_up) noexcept override;
    void append(std::shared_ptr<claim_events> entry, bool only_if_free) override;
    void remove(std::shared_ptr<claim_events> entry) override;
    void drive(claim_events& entry, instant until) override;
    void interrupt(claim_events& entry) noexcept override;
    std::unique_ptr<session_hints> hints() override { return place_hints::make(seat_); }
    std::optional<life_word> second_life() const noexcept override;
    void start_threads() override { seat_->engine().start_thread(); }
    std::shared_ptr<fast_path> fast(const claim& shape) override;

    result<void> proclaim(claim_events& entry, std::string_view proposal, instant give_up) override;

    void attend(attendance& turn) override;

  private:
    using claim_map = std::map<claim_id, std::shared_ptr<own_claim>>;
    using claim_list = std::vector<std::shared_ptr<own_claim>>;

    /// A session that stands ahead of claims that nobody drives, as it was when we saw it there.
    struct other {
        pulse life;
        std::uint32_t generation = 0;
        std::uint64_t examination = 0; ///< The last one that saw it there.
    };

    std::shared_ptr<own_claim> find(const claim_id& id);
    std::shared_ptr<own_claim> forget(const claim_id& id);
    void join_line(const std::shared_ptr<own_claim>& mine, bool only_if_free);
    /// Its last transition from joining; false when the session was closed meanwhile.
    bool settle(const std::shared_ptr<own_claim>& mine, own_claim::phase as);
    void refuse(const std::shared_ptr<own_claim>& mine, error why);
    void lose(const std::shared_ptr<own_claim>& mine, loss_reason why);
    void wake_all_drivers() noexcept;

    // attending.cpp
    void grant(const std::shared_ptr<own_claim>& mine);
    void see(const std::shared_ptr<own_claim>& mine, look::outcome what, std::uint32_t drivers_who_know);
    void enlist(const std::shared_ptr<own_claim>& mine);
    void discharge(const own_claim& mine);
    void leave_alone(const std::shared_ptr<own_claim>& mine);
    claim_list take_poked();
    claim_list take_newcomers();
    claim_list everyone();
    void examine(claim_list claims, bool is_everyone, bool may_expire);
    void examine_line(std::span<const std::shared_ptr<own_claim>> claims, std::uint64_t turn,
                      bool may_expire);
    bool is_any_ahead_gone(attendance& turn, bool may_expire);

    const std::shared_ptr<seat> seat_;
    const std::shared_ptr<followed_holds> followed_;
    core::latch guard_;
    claim_map claims_ GUARDED_BY(guard_);
    bool closed_ GUARDED_BY(guard_) = false;

    /// The claims with a cell that wait or hold; pokes find them by it.
    std::unordered_map<std::uint32_t, std::shared_ptr<own_claim>> by_cell_ GUARDED_BY(guard_);
    /// How many of them each word of segment_layout::poked tells of, and the words that tell of any.
    std::array<std::uint8_t, cell_count / 64> in_word_ GUARDED_BY(guard_){};
    std::bitset<cell_count / 64> words_ GUARDED_BY(guard_);
    std::vector<std::weak_ptr<own_claim>> newcomers_ GUARDED_BY(guard_);
    std::map<std::uint32_t, other> ahead_ GUARDED_BY(guard_); ///< By slot.
    std::uint64_t last_examination_ GUARDED_BY(guard_) = 0;
    bool look_soon_ GUARDED_BY(guard_) = false; ///< A line could not be repaired for lack of blocks.
    instant no_expiry_before_{};                ///< The thread's alone.
};

} // namespace holdfast::local
