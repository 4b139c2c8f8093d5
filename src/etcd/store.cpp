#include "store.hpp"

#include <cstdlib>

#include "admin.hpp"
#include "core/factory.hpp"
#include "diagnosis.hpp"
#include "errors.hpp"
#include "keys.hpp"
#include "line_hints.hpp"
#include "listing.hpp"
#include "messages.hpp"

namespace holdfast::etcd {

store_traits etcd_store::traits() const {
    store_traits out;
    out.engine = "etcd";
    out.gives = level::fenced;
    out.clock = clock_source::boottime;
    out.lease_per_claim = false;
    out.min_ttl = std::chrono::seconds(1);
    out.max_ttl = std::chrono::hours(24);
    return out;
}

result<void> etcd_store::check(instant give_up) {
    const std::string step = "connecting";
    const outcome reply = with_->calls->call_and_wait(method::status, {}, give_up, repeat::freely);
    if (!reply.ok()) {
        return to_error(reply, step, effect::none);
    }
    status_reply status;
    if (!decode(reply.body, status) || status.version.empty()) {
        return bad_reply(reply, step, effect::none);
    }
    if (status.leader == 0) {
        return error(errc::unavailable,
                     step + " to etcd at " + reply.endpoint +
                         ": this member has no leader; are most members of the cluster running?");
    }
    return {};
}

result<std::shared_ptr<store_session>> etcd_store::open(const session_request& request, instant give_up) {
    return session::open(with_, request, give_up);
}

result<std::vector<resource_status>> etcd_store::list(instant give_up) {
    return list_claims(*with_->calls, with_->how.space, give_up);
}

result<resource_status> etcd_store::show(const resource_name& name, instant give_up) {
    return show_claims(*with_->calls, with_->how.space, name, give_up);
}

result<std::size_t> etcd_store::break_holds(const resource_name& name, std::optional<token> only,
                                            instant give_up) {
    return etcd::break_holds(*with_->calls, with_->how.space, name, only, give_up);
}

result<void> etcd_store::resize(const resource_name& name, std::uint32_t permits, instant give_up) {
    return etcd::resize(*with_->calls, with_->how.space, name, permits, give_up);
}

std::shared_ptr<void> etcd_store::watch(const resource_name& name, std::function<void()> changed) {
    return hint_on_change(with_, line_prefix(with_->how.space, name), std::move(changed));
}

std::vector<finding> etcd_store::diagnose(std::chrono::nanoseconds ttl, instant give_up) {
    return etcd::diagnose(with_->how, ttl, give_up);
}

namespace {

result<std::unique_ptr<store>> make(const core::store_config& config) {
    result<settings> how = make_settings(config, [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value == nullptr ? "" : value);
    });
    if (!how) {
        return how.error();
    }
    if (const result<void> possible = transport::possible_here(); !possible) {
        return possible.error();
    }
    return std::unique_ptr<store>(std::make_unique<etcd_store>(*std::move(how)));
}

} // namespace
} // namespace holdfast::etcd

extern "C" const holdfast::core::store_factory holdfast_store_etcd = &holdfast::etcd::make;
