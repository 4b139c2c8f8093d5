#include "store.hpp"

#include <cstdlib>

#include "server_facts.hpp"
#include "session.hpp"
#include "words.hpp"

namespace holdfast::redis {
store_traits store::traits() const {
    const core::latch_guard locked(guard_);
    return {.engine = "redis",
            .gives = gives_,
            .why = why_,
            .clock = clock_source::boottime,
            .lease_per_claim = true,
            .min_ttl = std::chrono::milliseconds(100),
            .max_ttl = std::chrono::hours(24)};
}

result<void> store::check(instant give_up) {
    const auto replies = engine_->query(server_facts::questions(), give_up);
    const std::string at = "Redis at " + engine_->where.shown();
    if (!replies) {
        return replies.error();
    }
    // Every lock needs TIME, so its refusal is final; what follows only tells the level.
    if (const reply& time = (*replies)[0]; time.is_error()) {
        return error_of(time, engine_->where);
    }
    const server_facts facts = server_facts::from(*replies);
    if (facts.mode == "cluster") {
        return error(errc::config, at + " belongs to a Redis Cluster, which redis:// does not speak");
    }
    if (facts.role == "slave") {
        return error(errc::config, at + " is a replica of " + facts.master_host + "; connect to its master");
    }
    engine_->tells_of_keys = facts.tells_of_keys;
    verdict_on_level done = judge(facts, engine_->where.assume);
    if (!engine_->where.sentinels.empty()) {
        done.gives = level::efficiency;
        done.why += (done.why.empty() ? "" : "; ") +
                    std::string("Sentinel may promote a replica that has not seen a lock");
    }
    const core::latch_guard locked(guard_);
    gives_ = done.gives;
    why_ = done.why;
    return {};
}

result<std::shared_ptr<store_session>> store::open(const session_request& request, instant give_up) {
    const auto made = std::make_shared<session>(engine_, request);
    if (auto begun = made->begin(give_up); !begun) {
        return begun.error();
    }
    return std::shared_ptr<store_session>(made);
}

result<std::vector<resource_status>> store::list(instant give_up) {
    return list_resources(*engine_, give_up);
}

result<resource_status> store::show(const resource_name& name, instant give_up) {
    return show_resource(*engine_, name.bytes(), give_up);
}

namespace {

result<std::unique_ptr<holdfast::store>> make(const core::store_config& config) {
    auto where = settings::from(config, std::getenv("REDISCLI_AUTH"));
    if (!where) {
        return where.error();
    }
    return std::unique_ptr<holdfast::store>(std::make_unique<store>(std::move(*where)));
}

} // namespace
} // namespace holdfast::redis

extern "C" {
const holdfast::core::store_factory holdfast_store_redis = &holdfast::redis::make;
}
