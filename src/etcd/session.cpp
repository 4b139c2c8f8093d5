#include "session.hpp"

#include "core/boottime.hpp"
#include "core/quiet_thread.hpp"
#include "errors.hpp"
#include "keys.hpp"
#include "messages.hpp"

namespace holdfast::etcd {
namespace {

constexpr std::int64_t max_ttl_s =
    30LL * 24 * 3600; ///< No server grants more than was asked, but for a small floor.

} // namespace

engine::engine(settings with)
    : how(std::move(with)), calls(transport::make(how)), transactions(*calls),
      waiting(*calls, how.op_timeout) {}

engine::~engine() {
    waiting.stop();
    // Ends every call. The last callbacks may still ask the watcher, and `calls`: reset() would clear the
    // pointer first.
    delete calls.get();
    static_cast<void>(calls.release());
}

void engine::look(const std::string& key) {
    range_request request;
    request.key = key;
    request.keys_only = true;
    const std::int64_t floor = seen.floor();
    calls->call(method::range, encode(request), boottime() + how.op_timeout, repeat::freely,
                [this, floor](const outcome& reply) {
                    range_reply answer;
                    if (!reply.ok() || !decode(reply.body, answer)) {
                        return;
                    }
                    if (!seen.accept(answer.head, floor)) {
                        was_replaced();
                    }
                    waiting.expect_progress(answer.head.revision);
                });
}

void engine::on_replaced(std::function<void()> lose) {
    const core::latch_guard locked(guard_);
    losers_.push_back(std::move(lose));
}

void engine::was_replaced() {
    std::vector<std::function<void()>> all;
    {
        const core::latch_guard locked(guard_);
        all.swap(losers_);
    }
    for (const auto& lose : all) {
        lose();
    }
}

std::shared_ptr<engine> make_engine(settings how) {
    return {new engine(std::move(how)), [](engine* last) {
                if (!transport::inside_callback()) {
                    delete last;
                    return;
                }
                // A callback or the watcher dropped the last reference, and the engine waits for both to end.
                core::start_quiet_thread([last] { delete last; }).detach();
            }};
}

result<std::shared_ptr<store_session>> session::open(std::shared_ptr<engine> with,
                                                     const session_request& request, instant give_up) {
    const std::int64_t asked_s = std::chrono::ceil<std::chrono::seconds>(request.ttl).count();
    const instant sent_at = boottime();
    // A grant that got lost leaves an empty lease, which ends by itself.
    const outcome reply =
        with->calls->call_and_wait(method::lease_grant, encode_lease_grant(asked_s), give_up, repeat::freely);
    const std::string step = "opening a session";
    if (!reply.ok()) {
        return to_error(reply, step, effect::none);
    }
    lease_reply lease;
    if (!decode_lease_grant(reply.body, lease) || lease.id == 0 || lease.ttl_s <= 0 ||
        lease.ttl_s > max_ttl_s) {
        return bad_reply(reply, step, effect::none);
    }
    if (!with->seen.same_cluster(lease.head)) {
        with->was_replaced(); // From here on it is this cluster.
    }
    const renewal opened{sent_at, std::chrono::seconds(lease.ttl_s)};
    return std::shared_ptr<store_session>(
        std::make_shared<session>(std::move(with), lease.id, opened, request.who));
}

session::session(std::shared_ptr<engine> with, std::int64_t lease, renewal opened, holder_info who)
    : with_(std::move(with)), lease_(lease), opened_(opened),
      claims_(std::make_shared<claims>(*with_, lease, std::move(who))),
      pulse_(std::make_shared<keep_alive>(*with_->calls, lease)) {
    with_->on_replaced([claims = std::weak_ptr(claims_), pulse = std::weak_ptr(pulse_)] {
        const auto standing = claims.lock();
        const auto renewing = pulse.lock();
        if (standing && renewing) {
            renewing->stop();
            standing->replaced();
        }
    });
}

session::~session() {
    claims_->abandon();
    pulse_->stop();
}

result<renewal> session::renew(instant give_up) {
    result<renewal> answer = pulse_->renew(give_up);
    if (!with_->seen.same_cluster(pulse_->head())) {
        with_->was_replaced();
        return error(errc::lost, "renewing the session: another etcd cluster answers there now");
    }
    if (answer) {
        claims_->sweep();
        if (const std::string key = claims_->any_key(); !key.empty()) {
            with_->look(key);
        }
    }
    return answer;
}

void session::close(instant give_up) noexcept {
    if (closed_.exchange(true)) {
        return;
    }
    claims_->abandon();
    pulse_->stop();
    static_cast<void>(with_->calls->call_and_wait(method::lease_revoke, encode_lease_revoke(lease_), give_up,
                                                  repeat::freely));
}

void session::append(std::shared_ptr<claim_events> entry, bool only_if_free) {
    claims_->append(entry, only_if_free);
}

void session::remove(std::shared_ptr<claim_events> entry) {
    claims_->remove(entry);
}

void session::interrupt(claim_events& entry) noexcept {
    entry.place.notify();
    with_->calls->wake(entry.place);
}

result<void> session::proclaim(claim_events& entry, std::string_view proposal, instant give_up) {
    return claims_->proclaim(entry, proposal, give_up);
}

std::string session::engine_key(const claim_events& entry) const {
    return claims_->key_of(entry);
}

} // namespace holdfast::etcd
