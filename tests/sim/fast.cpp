// The synchronous way in and out of a simulated engine on the same machine, as the local store has one.
#include "session.hpp"

namespace holdfast::sim {

using answer = engine::answer;

namespace {

/// What needs no request: the engine is asked where the caller stands.
class sim_path final : public fast_path {
  public:
    sim_path(std::weak_ptr<sim_session> of, claim shape) : of_(std::move(of)), shape_(std::move(shape)) {}

    token try_acquire(std::uint64_t& ticket) noexcept override {
        const auto on = of_.lock();
        if (!on || !on->usable()) {
            return {};
        }
        backend& to = on->to();
        to.on.yield();
        const claim what = on->next_fast(shape_);
        const answer found = to.behind.append(what, 1, true, {}, to.on.tag(), false);
        to.on.yield();
        ticket = what.id.number;
        return token(found.what == answer::kind::granted ? found.token : 0);
    }
    bool release(std::uint64_t ticket) noexcept override {
        const auto on = of_.lock();
        if (!on || !on->usable()) {
            return true;
        }
        on->to().on.yield();
        on->unfollow(hold_of(ticket));
        const bool done = on->to().behind.remove_alone(hold_of(ticket));
        on->to().on.yield();
        return done;
    }
    bool holds(std::uint64_t ticket) const noexcept override {
        const auto on = of_.lock(); // Not a place to yield: this is asked under the latch of a face.
        return on && on->usable() && on->to().behind.look(hold_of(ticket), 1).what == answer::kind::granted;
    }
    void follow(std::uint64_t ticket, std::shared_ptr<claim_events> entry) override {
        if (const auto on = of_.lock()) {
            on->follow(hold_of(ticket), std::move(entry));
        }
    }
    void remove(std::uint64_t ticket) noexcept override {
        const auto on = of_.lock();
        if (on && on->usable()) {
            on->to().behind.remove(hold_of(ticket), 2);
            on->to().on.yield();
        }
    }

  private:
    claim hold_of(std::uint64_t ticket) const {
        claim what = shape_;
        what.id.number = ticket;
        return what;
    }

    const std::weak_ptr<sim_session> of_;
    const claim shape_;
};

} // namespace

std::shared_ptr<fast_path> sim_session::fast(const claim& shape) {
    if (!to_.behind.how().fast || shape.weight != lock_capacity) {
        return nullptr;
    }
    claim ours = shape;
    ours.id.session = id_;
    return std::make_shared<sim_path>(weak_from_this(), std::move(ours));
}

claim sim_session::next_fast(const claim& shape) {
    claim what = shape;
    what.id.number = ++last_fast_;
    return what;
}

void sim_session::follow(const claim& what, std::shared_ptr<claim_events> entry) {
    if (to_.behind.look(what, 1).what != answer::kind::granted) {
        return entry->on_lost(loss_reason::revoked);
    }
    followed_.insert_or_assign(what.id.number, std::pair(what, std::move(entry)));
}

} // namespace holdfast::sim
