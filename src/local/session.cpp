#include "session.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "fast.hpp"
#include "joining.hpp"
#include "pools.hpp"
#include "proposal.hpp"

namespace holdfast::local {
namespace {

using std::chrono::milliseconds;

std::string kind(std::uint32_t capacity) {
    return capacity == lock_capacity ? "a lock" : "a semaphore of " + std::to_string(capacity) + " permits";
}

} // namespace

session::~session() {
    close(instant::max());
}

result<renewal> session::renew(instant) {
    if (seat_->forked()) {
        return error(errc::lost,
                     "this session of " + seat_->memory().file() + " belongs to the parent of this process");
    }
    if (give_up_if_gone(seat_->engine())) {
        return error(errc::lost,
                     seat_->memory().file() + " was deleted, moved or cut short; all holds in it are lost");
    }
    if (const auto renewed = seat_->renew()) {
        // What no poke may have told: whoever broke a hold may have died before the poke.
        examine(everyone(), true, true);
        return *renewed;
    }
    wake_all_drivers();
    followed_->look();
    return error(errc::lost, "the session in " + seat_->memory().file() + " has expired");
}

void session::close(instant) noexcept {
    if (seat_->forked()) {
        return;
    }
    followed_->close();
    claim_map mine;
    {
        const core::latch_guard locked(guard_);
        closed_ = true;
        mine.swap(claims_);
        by_cell_.clear();
        words_.reset();
        in_word_.fill(0);
        ahead_.clear();
    }
    for (const auto& [id, each] : mine) {
        if (each->now.exchange(own_claim::phase::ended) == own_claim::phase::waiting) {
            poke(seat_->memory(), seat_->slot_index(), each->cell);
        }
    }
    static_cast<void>(seat_->leave()); // What is left is tried again when the seat is given back.
}

std::shared_ptr<own_claim> session::find(const claim_id& id) {
    const core::latch_guard locked(guard_);
    const auto found = claims_.find(id);
    return found == claims_.end() ? nullptr : found->second;
}

std::shared_ptr<own_claim> session::forget(const claim_id& id) {
    const core::latch_guard locked(guard_);
    auto node = claims_.extract(id);
    return node.empty() ? nullptr : std::move(node.mapped());
}

void session::append(std::shared_ptr<claim_events> entry, bool only_if_free) {
    if (seat_->forked()) {
        entry->on_lost(loss_reason::forked);
        return;
    }
    std::shared_ptr<own_claim> mine;
    bool fresh = false;
    {
        const core::latch_guard locked(guard_);
        if (!closed_) {
            auto& known = claims_[entry->claim().id];
            fresh = known == nullptr;
            if (fresh) {
                known = std::make_shared<own_claim>(seat_, entry);
            }
            mine = known;
        }
    }
    if (mine == nullptr) {
        entry->on_lost(loss_reason::expired);
        return;
    }
    if (fresh) {
        join_line(mine, only_if_free);
    } else if (mine->now.load() == own_claim::phase::holds) {
        mine->tell([granted = token(mine->token)](claim_events& to) { to.on_granted(granted); });
    } else if (mine->now.load() == own_claim::phase::waiting) {
        mine->tell([](claim_events& to) { to.on_waiting(); });
    }
}

void session::join_line(const std::shared_ptr<own_claim>& mine, bool only_if_free) {
    const segment& in = seat_->memory();
    const claim& what = mine->entry->claim();
    if (what.weight == 0 || what.weight > what.capacity ||
        (what.capacity != lock_capacity && what.capacity > max_permits)) {
        return refuse(mine, {errc::misuse, "'" + what.name.bytes() + "': a weight of " +
                                               std::to_string(what.weight) + " never fits a capacity of " +
                                               std::to_string(what.capacity)});
    }
    const found_name name = find_or_make_record(in, seat_->owner(), what.name.bytes());
    if (name.what == found_name::outcome::corrupt) {
        return refuse(mine, damaged(in));
    }
    if (name.what != found_name::outcome::found) {
        return refuse(mine,
                      {errc::config,
                       in.file() + " has no room for another name than the " + std::to_string(record_count) +
                           " it has seen; it makes room when every program that uses it has ended, or "
                           "give this one a folder of its own as local:/folder"});
    }
    record& at = in.data().records[name.record];
    joining edit(*seat_, what.weight, what.capacity, only_if_free, mine->entry->will_be_driven);
    const change_result outcome = change_line(in, name.record, seat_->as_editor(), edit);
    using verdict = joining::verdict;
    if (outcome != change_result::changed || edit.came_to != verdict::joined) {
        give_cell(in, edit.cell);
        if (outcome == change_result::corrupt) {
            return refuse(mine, damaged(in));
        }
        if (outcome == change_result::no_space && edit.came_to == verdict::joined) {
            return refuse(mine, no_room(in, "block", "fewer claims may wait in it at a time"));
        }
        const std::string named = "'" + what.name.bytes() + "' ";
        switch (edit.came_to) {
        case verdict::misfit:
            return refuse(mine,
                          {errc::misuse, named + "is in use as " + kind(edit.others_capacity) + ", not as " +
                                             kind(what.capacity) + "; let all its users agree"});
        case verdict::line_full:
            return refuse(mine, {errc::misuse, named + "has " + std::to_string(max_line) +
                                                   " claims in line, the most there may be"});
        case verdict::no_cell:
            return refuse(mine, no_room(in, "cell", "fewer claims may wait in it at a time"));
        case verdict::worn_out:
            return refuse(mine, no_room(in, "token for '" + what.name.bytes() + "'", "restart the machine"));
        case verdict::expired:
            return lose(mine, loss_reason::expired);
        default:
            return refuse(mine, {errc::busy, named + "is taken"});
        }
    }
    mine->record = name.record;
    mine->sequence = edit.sequence;
    mine->token = at.base.load(std::memory_order_acquire) + edit.sequence;
    mine->cell = edit.cell;
    if (mine->cell != 0) {
        in.data().cells[mine->cell].since_ms.store(realtime_ms(), std::memory_order_release);
    } else {
        note_since(at, mine->sequence, realtime_ms());
    }
    if (!edit.holds) {
        if (settle(mine, own_claim::phase::waiting)) {
            mine->tell([](claim_events& to) { to.on_waiting(); });
            enlist(mine);
            if (!mine->entry->will_be_driven) {
                leave_alone(mine);
            }
        }
    } else if (settle(mine, own_claim::phase::holds)) {
        grant(mine);
        if (mine->cell != 0) {
            enlist(mine);
        }
    }
}

bool session::settle(const std::shared_ptr<own_claim>& mine, own_claim::phase as) {
    auto joining = own_claim::phase::joining;
    // Either we see here that we have been declared expired, or whoever declares it sees our swap.
    if (mine->now.compare_exchange_strong(joining, as) && seat_->alive()) {
        return true;
    }
    static_cast<void>(
        remove_claim(seat_->memory(), mine->record, seat_->as_editor(), seat_->slot_index(), mine->sequence));
    lose(mine, loss_reason::expired);
    return false;
}

void session::refuse(const std::shared_ptr<own_claim>& mine, error why) {
    mine->now.store(own_claim::phase::ended);
    static_cast<void>(forget(mine->entry->claim().id));
    mine->tell([why = std::move(why)](claim_events& to) { to.on_refused(why); });
}

void session::lose(const std::shared_ptr<own_claim>& mine, loss_reason why) {
    mine->now.store(own_claim::phase::ended);
    static_cast<void>(forget(mine->entry->claim().id));
    discharge(*mine);
    mine->tell([why](claim_events& to) { to.on_lost(why); });
}

void session::remove(std::shared_ptr<claim_events> entry) {
    std::shared_ptr<own_claim> mine;
    if (seat_->forked() || (mine = find(entry->claim().id)) == nullptr) {
        entry->on_removed({});
        return;
    }
    mine->now.store(own_claim::phase::ended);
    // First the line: whoever is next is woken by it, and all else can wait.
    change_result outcome = change_result::no_space;
    for (int turn = 0; turn < 100 && outcome == change_result::no_space; ++turn) {
        if (turn > 0) {
            std::this_thread::sleep_for(milliseconds(1)); // Others have all the blocks; they free them soon.
        }
        outcome = remove_claim(seat_->memory(), mine->record, seat_->as_editor(), seat_->slot_index(),
                               mine->sequence);
    }
    discharge(*mine);
    if (outcome == change_result::no_space) { // It is removed by the next try, or with the session.
        mine->tell([self = shared_from_this(), this](claim_events& to) {
            to.on_removed(error(errc::unknown_outcome,
                                seat_->memory().file() + " has no block left to rewrite the line"));
        });
        return;
    }
    static_cast<void>(forget(entry->claim().id));
    if (outcome == change_result::corrupt) {
        mine->tell(
            [self = shared_from_this(), this](claim_events& to) { to.on_removed(damaged(seat_->memory())); });
        return;
    }
    mine->tell([](claim_events& to) { to.on_removed({}); });
}

result<void> session::proclaim(claim_events& entry, std::string_view proposal, instant) {
    const std::string named = "'" + entry.claim().name.bytes() + "' ";
    if (proposal.size() > max_proposal) {
        return error(errc::misuse, named + "cannot be given a proposal of " +
                                       std::to_string(proposal.size()) + " bytes; it may have " +
                                       std::to_string(max_proposal));
    }
    const auto mine = seat_->forked() ? nullptr : find(entry.claim().id);
    if (mine == nullptr || mine->now.load() != own_claim::phase::holds || !seat_->alive()) {
        return error(errc::lost, named + "is not held by this claim any more");
    }
    const segment& in = seat_->memory();
    mine->proposes.store(true);
    switch (write_proposal(in, mine->record, seat_->owner(), seat_->slot_index(), mine->sequence, proposal)) {
    case change_result::corrupt:
        return damaged(in);
    case change_result::no_space:
        return no_room(in, "block", "fewer claims may wait in it at a time");
    case change_result::unchanged:
        return error(errc::lost, named + "is not held by this claim any more");
    case change_result::changed:
        break;
    }
    return {};
}

std::optional<life_word> session::second_life() const noexcept {
    if (seat_->forked()) {
        return std::nullopt;
    }
    const segment& in = seat_->memory();
    const auto offset = reinterpret_cast<std::uintptr_t>(&seat_->in_memory().second_life) -
                        reinterpret_cast<std::uintptr_t>(&in.data());
    return life_word{.fd = in.fd(), .offset = offset};
}

std::shared_ptr<fast_path> session::fast(const claim& shape) {
    if (seat_->forked() || !seat_->alive()) {
        return nullptr;
    }
    const found_name name = find_or_make_record(seat_->memory(), seat_->owner(), shape.name.bytes());
    return name.what == found_name::outcome::found
               ? make_fast_path(seat_, followed_, name.record, shape.weight, shape.capacity)
               : nullptr;
}

} // namespace holdfast::local
