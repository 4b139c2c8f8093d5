#include "turns.hpp"

#include <algorithm>

#include "acquire.hpp"
#include "hold.hpp"
#include "inside.hpp"

namespace holdfast::core {

using std::chrono::nanoseconds;

/// Tokens stay below 2^63.
constexpr std::uint64_t largest_lent = (std::uint64_t{1} << 63) / turns::room - 1;

/// One hold of the store's while it is lent. To the holds of the threads it is what a store's synchronous
/// path is.
class turns::turn final : public fast_path, public wakeable, public std::enable_shared_from_this<turn> {
  public:
    turn(std::shared_ptr<turns> gate, held from_store, instant ends, std::uint64_t factor)
        : gate_(std::move(gate)), held_(std::move(from_store)), inner_(inside::of(held_)), ends_(ends),
          factor_(factor) {}

    void begin() {
        inner_->wakes(weak_from_this());
        wake(); // It may have been lost before we listened.
    }

    /// Whether it may be lent once more.
    bool goes_on(instant at) const noexcept {
        return at < ends_ && lent_ < room && inner_->valid_for() > nanoseconds::zero();
    }

    /// By the one thread that the gate let in.
    held lend(instant asked_at) {
        const std::uint64_t ticket = lent_ + 1;
        // Without the id: what is lent is no claim of the store's, and no guard must take it for one.
        struct claim shape = inner_->claim();
        shape.id = {};
        auto out = std::make_shared<hold>(std::move(shape), inner_->owner(), shared_from_this(), ticket,
                                          holdfast::token(inner_->token().value() * factor_ + lent_),
                                          &inner_->lease_in_use());
        lent_ = ticket;
        {
            const latch_guard locked(guard_);
            borrower_ = out;
            ticket_ = ticket;
        }
        out->acquired(now(gate_->clock_) - asked_at);
        wake();
        return held(std::move(out));
    }

    /// Gives it back to the store.
    void end() { static_cast<void>(held_.release()); }

    // What a lent hold asks.
    holdfast::token try_acquire(std::uint64_t&) noexcept override { return {}; }
    bool release(std::uint64_t ticket) noexcept override {
        {
            const latch_guard locked(guard_);
            if (ticket != ticket_) {
                return true; // It has been given back.
            }
            ticket_ = 0;
            borrower_.reset();
        }
        gate_->give_back(*this);
        return true;
    }
    bool holds(std::uint64_t) const noexcept override { return inner_->valid_for() > nanoseconds::zero(); }
    void remove(std::uint64_t) noexcept override {}
    void follow(std::uint64_t, std::shared_ptr<claim_events>) override {
        static_cast<void>(inner_->lost()); // Somebody wants to know: then the store must tell us.
    }

    /// Something has become of the store's hold: who has borrowed it must know.
    void wake() noexcept override {
        if (inner_->now_in() != hold::phase::lost) {
            return;
        }
        std::shared_ptr<hold> borrower;
        {
            const latch_guard locked(guard_);
            borrower = borrower_.lock();
        }
        if (borrower) {
            borrower->lose(inner_->reason());
        }
    }

  private:
    const std::shared_ptr<turns> gate_;
    held held_;
    const std::shared_ptr<hold> inner_;
    const instant ends_;
    const std::uint64_t factor_;
    std::uint64_t lent_ = 0; ///< Only who is inside the gate touches it.
    latch guard_;
    std::weak_ptr<hold> borrower_ GUARDED_BY(guard_);
    std::uint64_t ticket_ GUARDED_BY(guard_) = 0;
};

class turns::gated_path final : public fast_path {
  public:
    gated_path(std::shared_ptr<turns> gate, std::shared_ptr<fast_path> path)
        : gate_(std::move(gate)), path_(std::move(path)) {}

    holdfast::token try_acquire(std::uint64_t& ticket) noexcept override {
        return path_->try_acquire(ticket);
    }
    bool release(std::uint64_t ticket) noexcept override {
        const bool released = path_->release(ticket);
        if (released) {
            gate_->open_gate();
        }
        return released;
    }
    bool holds(std::uint64_t ticket) const noexcept override { return path_->holds(ticket); }
    void follow(std::uint64_t ticket, std::shared_ptr<claim_events> entry) override {
        path_->follow(ticket, std::move(entry));
    }
    void remove(std::uint64_t ticket) noexcept override {
        path_->remove(ticket);
        gate_->open_gate();
    }

  private:
    const std::shared_ptr<turns> gate_;
    const std::shared_ptr<fast_path> path_;
};

std::shared_ptr<fast_path> turns::gated(std::shared_ptr<fast_path> path) {
    return std::make_shared<gated_path>(shared_from_this(), std::move(path));
}

result<held> turns::acquire(resource& from, const patience& how) {
    if (from.client().forked()) {
        return client::inherited(); // Perhaps in the middle of a turn of the parent's.
    }
    if (!how.stop.stop_requested()) {
        if (grip* const mine = pass(from)) {
            return held(*mine);
        }
    }
    const instant started = now(clock_);
    const instant until = how.limit ? saturating_add(started, *how.limit) : instant::max();
    parking_place place;
    for (;;) {
        if (how.stop.stop_requested()) {
            leave(place);
            return error(errc::cancelled, "acquiring " + from.shown() + " was cancelled");
        }
        place.reset();
        entrance found = look(place, !how.only_if_free);
        if (found.goes_on) {
            return found.goes_on->lend(started);
        }
        if (found.over) {
            found.over->end();
        }
        if (found.open) {
            return begin_turn(from, how, started, until);
        }
        if (how.only_if_free) {
            return error(errc::busy, from.shown() + " is held by another thread of this process");
        }
        if (now(clock_) >= until) {
            leave(place);
            return error(errc::timed_out, from.shown() + " was not free in time");
        }
        const std::stop_callback wake(how.stop, [&place] { place.notify(); });
        place.wait_until(until, clock_);
    }
}

/// The gate is open and the name free by its lane: nothing else is needed.
grip* turns::pass(resource& from) noexcept {
    {
        const latch_guard locked(guard_);
        if (taken_ || standing_) {
            return nullptr;
        }
        taken_ = true;
    }
    grip* const mine = from.acquire_inside();
    if (mine == nullptr) {
        open_gate();
    }
    return mine;
}

turns::entrance turns::look(parking_place& place, bool waits) {
    const latch_guard locked(guard_);
    if (called_ == &place) {
        called_ = nullptr;
    }
    if (taken_) {
        if (waits && std::find(waiting_.begin(), waiting_.end(), &place) == waiting_.end()) {
            waiting_.push_back(&place);
        }
        return {};
    }
    std::erase(waiting_, &place);
    taken_ = true;
    if (standing_ && standing_->goes_on(now(clock_))) {
        return {.open = true, .goes_on = standing_, .over = {}};
    }
    return {.open = true, .goes_on = {}, .over = std::exchange(standing_, nullptr)};
}

/// A waiter goes without having been let in.
void turns::leave(parking_place& place) {
    std::shared_ptr<turn> over;
    {
        const latch_guard locked(guard_);
        std::erase(waiting_, &place);
        if (called_ == &place) {
            called_ = nullptr;
        }
        if (taken_) {
            return;
        }
        if (!waiting_.empty()) {
            return call_next(); // The call was for whoever comes next.
        }
        if (!standing_) {
            return;
        }
        over = std::exchange(standing_, nullptr); // It was kept for this waiter, and for nobody else.
        taken_ = true;
    }
    end(over);
}

result<held> turns::begin_turn(resource& from, patience how, instant started, instant until) {
    how.tells = false; // The sink hears of the threads that it is lent to.
    if (how.limit) {
        how.limit = std::max(until - now(clock_), nanoseconds::zero());
    }
    auto outcome = acquire_from_store(from, lock_capacity, how);
    if (!outcome) {
        open_gate();
        return outcome;
    }
    const auto inner = inside::of(*outcome);
    if (inner->is_fast()) {
        if (from.client().terms().events) {
            inner->acquired(now(clock_) - started);
            inner->listen();
        }
        return outcome; // Its release opens the gate.
    }
    // Who had to wait in line where there is a synchronous path holds for itself.
    const bool direct = from.fast(inner->owner(), lock_capacity) != nullptr;
    if (!direct && inner->token().value() > largest_lent) {
        static_cast<void>(outcome->release());
        open_gate();
        return error(errc::misuse,
                     "the tokens of " + from.shown() +
                         " have grown too large to be multiplied for local_hand_over; do without it");
    }
    const auto begun = std::make_shared<turn>(shared_from_this(), std::move(*outcome),
                                              direct ? instant() : now(clock_) + bound_, direct ? 1 : room);
    begun->begin();
    {
        const latch_guard locked(guard_);
        standing_ = begun;
    }
    return begun->lend(started);
}

void turns::give_back(turn& mine) {
    std::shared_ptr<turn> over;
    {
        const latch_guard locked(guard_);
        if (!waiting_.empty() && mine.goes_on(now(clock_))) {
            taken_ = false;
            return call_next();
        }
        over = std::exchange(standing_, nullptr);
    }
    end(over);
}

/// Gives the hold back to the store, then opens the gate.
void turns::end(const std::shared_ptr<turn>& over) {
    over->end();
    open_gate();
}

void turns::open_gate() {
    const latch_guard locked(guard_);
    taken_ = false;
    call_next();
}

void turns::call_next() {
    if (called_ == nullptr && !waiting_.empty()) {
        called_ = waiting_.front();
        called_->notify(); // It stands in the queue until it has looked, so it is still there.
    }
}

} // namespace holdfast::core
