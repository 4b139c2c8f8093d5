// How a session learns what became of its claims: by drive() on a caller's thread, or by the store's own.
#include "session.hpp"

#include <algorithm>
#include <bit>
#include <tuple>
#include <utility>

#include "life.hpp"
#include "proposal.hpp"

namespace holdfast::local {
namespace {

using std::chrono::milliseconds;
using phase = own_claim::phase;

/// Ends a drive whose claim has been told something by another thread, or whose caller has been called.
class drive_limit final : public wait_limit {
  public:
    drive_limit(const own_claim& mine, const parking_place& place) : mine_(mine), place_(place) {}
    bool reached() const noexcept override { return mine_.now.load() != phase::waiting || place_.notified(); }

  private:
    const own_claim& mine_;
    const parking_place& place_;
};

} // namespace

/// It holds since now: everybody can see what it proposes before it is told.
void session::grant(const std::shared_ptr<own_claim>& mine) {
    const segment& in = seat_->memory();
    if (mine->cell != 0) {
        const std::uint64_t at_ms = realtime_ms();
        in.data().cells[mine->cell].since_ms.store(at_ms, std::memory_order_release);
        if (mine->entry->claim().weight == lock_capacity) { // It may become a sole word, which names no cell.
            note_since(in.data().records[mine->record], mine->sequence, at_ms);
        }
    }
    if (const auto& proposal = mine->entry->claim().proposal) {
        mine->proposes.store(true);
        // Without a free block it leads without a proposal until it proclaims one.
        static_cast<void>(
            write_proposal(in, mine->record, seat_->owner(), seat_->slot_index(), mine->sequence, *proposal));
    }
    mine->tell([granted = token(mine->token)](claim_events& to) { to.on_granted(granted); });
}

/// Tells a claim where it was seen, if that is news.
void session::see(const std::shared_ptr<own_claim>& mine, look::outcome what,
                  std::uint32_t drivers_who_know) {
    auto seen = mine->now.load();
    switch (what) {
    case look::outcome::waits:
        return;
    case look::outcome::holds:
        if (seen == phase::waiting && mine->now.compare_exchange_strong(seen, phase::holds)) {
            grant(mine);
        }
        break;
    case look::outcome::gone:
    case look::outcome::corrupt:
        while ((seen == phase::waiting || seen == phase::holds) &&
               !mine->now.compare_exchange_weak(seen, phase::ended)) {
        }
        if (seen == phase::waiting || seen == phase::holds) {
            lose(mine, what == look::outcome::corrupt ? loss_reason::replaced : seat_->why_gone());
        }
        break;
    }
    if (mine->drivers.load() > drivers_who_know) { // They must not sleep on what was told meanwhile.
        poke(seat_->memory(), seat_->slot_index(), mine->cell);
    }
}

/// From now on pokes find it.
void session::enlist(const std::shared_ptr<own_claim>& mine) {
    const std::uint32_t word = mine->cell / 64;
    {
        const core::latch_guard locked(guard_);
        const auto known = claims_.find(mine->entry->claim().id);
        if (known == claims_.end() || known->second != mine) {
            return; // It was removed meanwhile.
        }
        by_cell_[mine->cell] = mine;
        ++in_word_[word];
        words_.set(word);
    }
    // A poke that came first has found nobody.
    if ((seat_->memory().data().poked[word].load() >> mine->cell % 64 & 1) != 0) {
        poke(seat_->memory(), seat_->slot_index(), mine->cell);
    }
}

void session::discharge(const own_claim& mine) {
    if (mine.proposes.load()) {
        drop_stale_proposal(seat_->memory(), mine.record);
    }
    if (mine.cell == 0) {
        return;
    }
    const std::uint32_t word = mine.cell / 64;
    const core::latch_guard locked(guard_);
    const auto found = by_cell_.find(mine.cell);
    if (found == by_cell_.end() || found->second.get() != &mine) {
        return;
    }
    by_cell_.erase(found);
    if (--in_word_[word] == 0) {
        words_.reset(word);
    }
}

/// Nobody drives it, for now: the store's thread shall soon watch those ahead.
void session::leave_alone(const std::shared_ptr<own_claim>& mine) {
    {
        const core::latch_guard locked(guard_);
        newcomers_.push_back(mine);
    }
    seat_->engine().call_thread();
}

session::claim_list session::take_poked() {
    claim_list found;
    const core::latch_guard locked(guard_);
    for (std::size_t word = 0; word < words_.size(); ++word) {
        if (!words_.test(word)) {
            continue;
        }
        word64& poked = seat_->memory().data().poked[word];
        for (std::uint64_t left = poked.load(); left != 0; left &= left - 1) {
            const auto bit = static_cast<std::uint32_t>(std::countr_zero(left));
            const auto mine = by_cell_.find(static_cast<std::uint32_t>(word) * 64 + bit);
            if (mine != by_cell_.end()) { // The others are another session's.
                poked.fetch_and(~(std::uint64_t{1} << bit));
                found.push_back(mine->second);
            }
        }
    }
    return found;
}

session::claim_list session::take_newcomers() {
    claim_list found;
    const core::latch_guard locked(guard_);
    for (const auto& each : newcomers_) {
        auto mine = each.lock();
        if (mine != nullptr && mine->now.load() == phase::waiting && mine->drivers.load() == 0) {
            found.push_back(std::move(mine));
        }
    }
    newcomers_.clear();
    return found;
}

session::claim_list session::everyone() {
    claim_list found;
    const core::latch_guard locked(guard_);
    for (const auto& [id, each] : claims_) {
        const auto now = each->now.load();
        if (now == phase::holds || (now == phase::waiting && each->drivers.load() == 0)) {
            found.push_back(each);
        }
    }
    return found;
}

/// Looks where these stand, each line once, and remembers whose death or expiry would change that.
void session::examine(claim_list claims, bool is_everyone, bool may_expire) {
    std::uint64_t turn = 0;
    {
        const core::latch_guard locked(guard_);
        turn = ++last_examination_;
    }
    // Nobody else may have noticed that we are too late ourselves.
    static_cast<void>(still_counts(seat_->memory(), seat_->slot_index(), now_ms(), may_expire));
    std::sort(claims.begin(), claims.end(), [](const auto& a, const auto& b) {
        return std::tie(a->record, a->sequence) < std::tie(b->record, b->sequence);
    });
    for (std::size_t first = 0, next = 0; first < claims.size(); first = next) {
        const std::uint32_t record = claims[first]->record;
        while (next < claims.size() && claims[next]->record == record) {
            ++next;
        }
        examine_line(std::span(claims).subspan(first, next - first), turn, may_expire);
    }
    if (is_everyone) {
        followed_->look();
        const core::latch_guard locked(guard_);
        std::erase_if(ahead_, [turn](const auto& each) { return each.second.examination < turn; });
    }
}

/// Claims of one line, in order.
void session::examine_line(std::span<const std::shared_ptr<own_claim>> claims, std::uint64_t turn,
                           bool may_expire) {
    line now;
    look seen;
    bool no_space = false;
    settle_line(*seat_, claims.front()->record, claims.back()->sequence, may_expire, now, seen, no_space);
    std::size_t last_waits_at = 0;
    for (const auto& each : claims) {
        look::outcome what = seen.what;
        if (what == look::outcome::waits) {
            const auto at = std::lower_bound(
                now.claims.begin(), now.claims.end(), each->sequence,
                [](const standing& other, std::uint64_t sequence) { return other.sequence < sequence; });
            const bool there =
                at != now.claims.end() && at->sequence == each->sequence && at->slot == seat_->slot_index();
            what = !there ? look::outcome::gone : at->holds ? look::outcome::holds : look::outcome::waits;
            last_waits_at = what == look::outcome::waits ? static_cast<std::size_t>(at - now.claims.begin())
                                                         : last_waits_at;
        }
        see(each, what, 0);
    }
    if (last_waits_at == 0) {
        return;
    }
    const core::latch_guard locked(guard_);
    look_soon_ = look_soon_ || no_space;
    std::uint32_t last = slot_count;
    for (std::size_t i = 0; i <= last_waits_at; ++i) { // Our own session too: it may expire.
        const std::uint32_t index = now.claims[i].slot;
        if (std::exchange(last, index) == index) {
            continue;
        }
        slot& each = seat_->memory().data().slots[index];
        const std::uint64_t session = each.session.load(std::memory_order_acquire);
        other& known = ahead_[index];
        known = {.life = pulse_of(each),
                 .generation = generation_of(session),
                 .examination = std::max(known.examination, turn)};
    }
}

/// Whether somebody ahead has died or expired; if not, what to sleep on until that happens.
bool session::is_any_ahead_gone(attendance& turn, bool may_expire) {
    const core::latch_guard locked(guard_);
    for (const auto& [index, seen] : ahead_) {
        slot& each = seat_->memory().data().slots[index];
        const std::uint64_t session = each.session.load();
        const instant ends(milliseconds(deadline_ms_of(session) + 1));
        if (!seen.life.living() || seen.life.word->load(std::memory_order_acquire) != seen.life.value ||
            generation_of(session) != seen.generation || state_of(session) != session_state::alive ||
            (may_expire && turn.now >= ends)) {
            return true;
        }
        turn.until = std::min(turn.until, may_expire ? ends : std::max(ends, no_expiry_before_));
        if (index != seat_->slot_index()) {
            turn.sleep_on(*seen.life.word, seen.life.value);
        }
    }
    return false;
}

void session::attend(attendance& turn) {
    word32& mailbox = seat_->in_memory().mailbox;
    std::uint32_t seen = mailbox.fetch_or(cell::asleep) | cell::asleep;
    const bool all_were_poked = (seen & cell::everything) != 0;
    if (all_were_poked) {
        seen = mailbox.fetch_and(~cell::everything) & ~cell::everything;
    }
    turn.sleep_on(mailbox, seen);
    // If our own timer comes late, so may the renewals of others have been held up: they get as long once
    // more.
    if (turn.late > seat_->ttl() / 3) {
        no_expiry_before_ = turn.now + seat_->ttl() / 3;
    }
    const bool may_expire = turn.now >= no_expiry_before_;
    bool look_at_all = all_were_poked;
    {
        const core::latch_guard locked(guard_);
        look_at_all = std::exchange(look_soon_, false) || look_at_all;
    }
    if (look_at_all) {
        examine(everyone(), true, may_expire);
    } else if (auto poked = take_poked(); !poked.empty()) {
        examine(std::move(poked), false, may_expire);
    }
    if (turn.adopt) {
        auto newcomers = take_newcomers();
        turn.adopted = turn.adopted || !newcomers.empty();
        examine(std::move(newcomers), false, may_expire);
    }
    const std::size_t before = turn.watches.size();
    if (is_any_ahead_gone(turn, may_expire)) {
        turn.watches.resize(before);
        examine(everyone(), true, may_expire);
        if (is_any_ahead_gone(turn,
                              may_expire)) { // Another one meanwhile, or there is no block to repair with.
            turn.until = std::min(turn.until, turn.now + milliseconds(1));
        }
    }
    const core::latch_guard locked(guard_);
    if (look_soon_) {
        turn.until = std::min(turn.until, turn.now + fallback_nap);
    }
}

void session::drive(claim_events& entry, instant until) {
    std::shared_ptr<own_claim> mine;
    if (seat_->forked() || (mine = find(entry.claim().id)) == nullptr || mine->now.load() != phase::waiting) {
        entry.place.wait_until(until, clock_source::monotonic);
        return;
    }
    ++mine->drivers;
    word32& futex = seat_->memory().data().cells[mine->cell].futex;
    futex.fetch_and(~cell::unattended);
    std::uint32_t seen = futex.load();
    const drive_limit limit(*mine, entry.place);
    if (!limit.reached()) {
        see(mine, wait_in_line(*seat_, mine->record, mine->sequence, futex, until, &limit, seen), 1);
    }
    if (--mine->drivers != 0) {
        return;
    }
    // From here on pokes ring for the store's thread. One that came in between has rung for nobody.
    if (pokes_of(futex.fetch_or(cell::unattended)) != pokes_of(seen)) {
        poke(seat_->memory(), seat_->slot_index(), mine->cell);
    }
    if (mine->now.load() == phase::waiting) {
        leave_alone(mine);
    }
}

void session::interrupt(claim_events& entry) noexcept {
    entry.place.notify();
    const auto mine = seat_->forked() ? nullptr : find(entry.claim().id);
    if (mine != nullptr && mine->now.load() == phase::waiting) {
        poke(seat_->memory(), seat_->slot_index(), mine->cell);
    }
}

void session::wake_all_drivers() noexcept {
    std::vector<std::shared_ptr<own_claim>> all;
    {
        const core::latch_guard locked(guard_);
        for (const auto& [id, each] : claims_) {
            all.push_back(each);
        }
    }
    for (const auto& each : all) {
        if (each->now.load() == phase::waiting) {
            poke(seat_->memory(), seat_->slot_index(), each->cell);
        }
    }
}

} // namespace holdfast::local
