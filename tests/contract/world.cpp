#include "contract/world.hpp"

#include "core/identity.hpp"

namespace holdfast::testing {

void recorded_claim::on_waiting() noexcept {
    {
        const std::scoped_lock locked(mutex_);
        ++fate_.waiting;
    }
    place.notify();
}

void recorded_claim::on_granted(token granted) noexcept {
    {
        const std::scoped_lock locked(mutex_);
        ++fate_.granted;
        fate_.token = granted.value();
    }
    place.notify();
}

void recorded_claim::on_refused(error why) noexcept {
    {
        const std::scoped_lock locked(mutex_);
        fate_.refusal = std::move(why);
    }
    place.notify();
}

void recorded_claim::on_renewed(instant) noexcept {
    {
        const std::scoped_lock locked(mutex_);
        ++fate_.renewed;
    }
    place.notify();
}

void recorded_claim::on_lost(loss_reason why) noexcept {
    {
        const std::scoped_lock locked(mutex_);
        ++fate_.lost;
        fate_.reason = why;
    }
    place.notify();
}

void recorded_claim::on_removed(result<void> outcome) noexcept {
    {
        const std::scoped_lock locked(mutex_);
        ++(outcome ? fate_.removed : fate_.removal_failed);
    }
    place.notify();
}

recorded_claim::fate recorded_claim::seen() const {
    const std::scoped_lock locked(mutex_);
    return fate_;
}

member::member(world& in, std::chrono::nanoseconds ttl)
    : store_(in.connect()), traits_(store_->traits()), id_(core::random_session_id()) {
    auto opened = store_->open({.id = id_, .ttl = ttl, .who = core::describe_process("contract", "suite")},
                               now() + std::chrono::seconds(10));
    session_ = std::move(opened).value();
    renew_at_ = now() + session_->opened().ttl / 3;
}

member::~member() {
    session_->close(now() + std::chrono::seconds(5));
    session_.reset();
}

std::shared_ptr<recorded_claim> member::make(const std::string& name, std::uint32_t weight,
                                             std::uint32_t capacity, std::optional<std::string> proposal) {
    return std::make_shared<recorded_claim>(claim{.name = resource_name::make(name).value(),
                                                  .id = {.session = id_, .number = ++last_number_},
                                                  .weight = weight,
                                                  .capacity = capacity,
                                                  .proposal = std::move(proposal)});
}

void member::append(const std::shared_ptr<recorded_claim>& claim, bool only_if_free) {
    const auto before = claim->seen();
    session_->append(claim, only_if_free);
    const bool answered = drive(*claim, [&](const auto& now_seen) {
        return now_seen.granted > before.granted || now_seen.waiting > before.waiting || now_seen.refusal;
    });
    ASSERT_TRUE(answered) << "append was never answered";
}

std::shared_ptr<recorded_claim> member::stand(const std::string& name, std::uint32_t weight,
                                              std::uint32_t capacity, bool only_if_free) {
    auto claim = make(name, weight, capacity);
    append(claim, only_if_free);
    return claim;
}

void member::leave(const std::shared_ptr<recorded_claim>& claim) {
    const int before = claim->seen().removed;
    session_->remove(claim);
    ASSERT_TRUE(drive(*claim, [&](const auto& seen) { return seen.removed > before; }))
        << "remove was never answered";
}

bool member::drive(recorded_claim& claim, const std::function<bool(const recorded_claim::fate&)>& condition,
                   std::chrono::nanoseconds bound) {
    const instant give_up = now() + bound;
    for (;;) {
        claim.place.reset();
        if (condition(claim.seen())) {
            return true;
        }
        if (now() >= give_up) {
            return false;
        }
        if (now() >= renew_at_) {
            static_cast<void>(renew()); // What it came to is told to the claims, or seen at the next one.
        }
        session_->drive(claim, std::min(give_up, renew_at_));
    }
}

result<renewal> member::renew() {
    renew_at_ = now() + session_->opened().ttl / 3;
    return session_->renew(now() + std::chrono::seconds(5));
}

bool member::granted(const std::shared_ptr<recorded_claim>& claim, std::chrono::nanoseconds bound) {
    return drive(
        *claim, [](const auto& seen) { return seen.granted > 0; }, bound);
}

} // namespace holdfast::testing
