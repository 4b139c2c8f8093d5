// The half of claims.hpp that ends claims, and what happens to them in between.
#include <algorithm>

#include "claims.hpp"
#include "errors.hpp"
#include "value.hpp"

namespace holdfast::etcd {
namespace {

using phase = record::phase;

constexpr int sweeps = 4;
constexpr const char* remove_step = "releasing";
constexpr const char* proclaim_step = "proclaiming";

} // namespace

error proposal_too_long() {
    return {errc::misuse, "the proposal is longer than " + std::to_string(max_proposal) + " bytes"};
}

void claims::remove(const std::shared_ptr<claim_events>& entry) {
    const record_ptr one = record_of(entry);
    {
        const core::latch_guard locked(one->guard);
        if (one->now == phase::removing) {
            return;
        }
        one->keep(entry);
        if (one->now == phase::appending) {
            one->remove_wanted = true; // A removal that overtakes the append would leave it in line for ever.
            return;
        }
        one->now = phase::removing;
    }
    send_remove(one);
}

void claims::send_remove(const record_ptr& one) {
    with_.waiting.forget(*one);
    std::int64_t create_revision = 0;
    bool doubtful = false;
    {
        const core::latch_guard locked(one->guard);
        create_revision = one->create_revision;
        doubtful = one->doubtful;
        one->key_is_spent = one->key_is_spent || doubtful || create_revision == 0;
    }
    if (doubtful) {
        const core::latch_guard locked(guard_);
        suspects_.push_back({one->key, sweeps});
    }
    if (create_revision == 0) {
        with_.calls->call(
            method::delete_range, encode(delete_request{one->key}), deadline(), repeat::freely,
            [self = shared_from_this(), one](const outcome& reply) { self->on_remove(one, reply, false); });
        return;
    }
    // Compared, so that a key which somebody put there by hand meanwhile is left alone.
    txn_request request;
    request.compares.push_back({one->key, {}, compare::relation::equal, create_revision});
    request.success.emplace_back(delete_request{one->key});
    with_.transactions.send({one->prefix, std::move(request), deadline(), repeat::freely,
                             [self = shared_from_this(), one](const outcome& reply, const txn_reply* answer) {
                                 self->on_remove(one, reply, answer != nullptr && answer->succeeded);
                             }});
}

void claims::on_remove(const record_ptr& one, const outcome& reply, bool by_its_revision) {
    {
        const core::latch_guard locked(one->guard);
        if (by_its_revision && !one->key_is_spent) {
            one->key_goes_to = keys_;
        }
        one->now = reply.ok() ? phase::ended : phase::idle;
        notice news{notice::kind::removed};
        if (!reply.ok()) {
            news.failure = to_error(reply, remove_step, effect::change);
        }
        one->push(std::move(news));
    }
    one->deliver(*with_.calls);
}

result<void> claims::proclaim(const claim_events& entry, std::string_view proposal, instant give_up) {
    const record_ptr one = known_record(entry);
    if (proposal.size() > max_proposal) {
        return proposal_too_long();
    }
    if (entry.claim().capacity != lock_capacity) {
        return error(errc::misuse, "a semaphore's permit has no proposal to replace; use an election");
    }
    std::int64_t create_revision = 0;
    if (one) {
        const core::latch_guard locked(one->guard);
        create_revision = one->now == phase::granted ? one->create_revision : 0;
    }
    const error gone(errc::lost, "proclaiming: the claim does not hold any more");
    if (create_revision == 0) {
        return gone;
    }
    claim_note note{who_, std::chrono::system_clock::now(), {}, false, std::string(proposal)};
    put_request put{one->key, write_value(note, lock_capacity)};
    put.keep_lease = true;
    txn_request request;
    request.compares.push_back({one->key, {}, compare::relation::equal, create_revision});
    request.success.emplace_back(std::move(put));
    const instant limit = std::min(give_up, deadline());
    const outcome reply = with_.calls->call_and_wait(method::txn, encode(request), limit, repeat::never);
    if (!reply.ok()) {
        return to_error(reply, proclaim_step, effect::change);
    }
    txn_reply answer;
    if (!decode(reply.body, answer)) {
        return bad_reply(reply, proclaim_step, effect::change);
    }
    return answer.succeeded ? result<void>() : result<void>(gone);
}

claims::record_ptr claims::known_record(const claim_events& entry) {
    const core::latch_guard locked(guard_);
    return std::static_pointer_cast<record>(entry.store_data);
}

std::string claims::key_of(const claim_events& entry) {
    const record_ptr one = known_record(entry);
    return one ? one->key : std::string();
}

void claims::sweep() {
    std::vector<std::string> keys;
    {
        const core::latch_guard locked(guard_);
        for (suspect& one : suspects_) {
            keys.push_back(one.key);
            --one.sweeps_left;
        }
        std::erase_if(suspects_, [](const suspect& one) { return one.sweeps_left <= 0; });
    }
    for (const std::string& key : keys) {
        with_.calls->call(method::delete_range, encode(delete_request{key}), deadline(), repeat::freely,
                          [](const outcome&) {});
    }
}

bool claims::same_state(const header& head, std::int64_t floor) {
    if (with_.seen.accept(head, floor)) {
        return true;
    }
    with_.was_replaced();
    return false;
}

std::string claims::any_key() {
    const core::latch_guard locked(guard_);
    for (auto one = known_.rbegin(); one != known_.rend(); ++one) {
        if (const record_ptr found = one->lock()) {
            return found->key;
        }
    }
    return {};
}

void claims::replaced() {
    std::vector<std::weak_ptr<record>> known;
    {
        const core::latch_guard locked(guard_);
        ended_ = true;
        known = known_;
    }
    for (const auto& weak : known) {
        const record_ptr one = weak.lock();
        if (!one) {
            continue;
        }
        with_.waiting.forget(*one);
        {
            const core::latch_guard locked(one->guard);
            if (one->now != phase::waiting && one->now != phase::granted) {
                continue;
            }
            one->now = phase::ended;
            one->push({notice::kind::lost, 0, loss_reason::replaced});
        }
        one->deliver(*with_.calls);
    }
}

void claims::abandon() {
    std::vector<std::weak_ptr<record>> known;
    {
        const core::latch_guard locked(guard_);
        ended_ = true;
        known.swap(known_);
        suspects_.clear();
    }
    for (const auto& weak : known) {
        if (const record_ptr one = weak.lock()) {
            with_.waiting.forget(*one);
            one->abandon();
        }
    }
}

} // namespace holdfast::etcd
