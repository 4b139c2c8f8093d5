// The local store: one segment, opened by check() or by the first session.
#include <mutex>

#include "core/factory.hpp"
#include "core/identity.hpp"

#include "admin.hpp"
#include "diagnose.hpp"
#include "engine.hpp"
#include "folder.hpp"
#include "listing.hpp"
#include "pools.hpp"
#include "session.hpp"
#include "watch.hpp"

namespace holdfast::local {
namespace {

class local_store final : public store {
  public:
    explicit local_store(const core::store_config& config)
        : path_(config.url.path), threads_later_(config.threads_later), catches_(config.catch_sigbus) {}

    store_traits traits() const override {
        return {.engine = "local",
                .gives = level::fenced,
                .why = {},
                .clock = clock_source::monotonic,
                .lease_per_claim = false,
                .min_ttl = std::chrono::milliseconds(100),
                .max_ttl = std::chrono::hours(24),
                .until_death = true,
                .hints = true};
    }

    result<void> check(instant give_up) override {
        // Only here: whoever comes to the store later need not outlive it.
        auto ready = reach(give_up, threads_later_);
        return ready ? result<void>() : ready.error();
    }

    result<std::shared_ptr<store_session>> open(const session_request& request, instant give_up) override {
        auto ready = reach(give_up);
        if (!ready) {
            return ready.error();
        }
        auto taken = seat::take(*ready, request);
        if (!taken) {
            return taken.error();
        }
        auto opened = std::make_shared<session>(std::move(*taken));
        (*ready)->add(opened);
        return std::shared_ptr<store_session>(std::move(opened));
    }

    result<std::vector<resource_status>> list(instant give_up) override {
        auto ready = reach(give_up);
        if (!ready) {
            return ready.error();
        }
        auto all = list_segment((*ready)->memory());
        return (*ready)->memory().covered() ? damaged((*ready)->memory()) : std::move(all);
    }

    result<resource_status> show(const resource_name& name, instant give_up) override {
        auto ready = reach(give_up);
        if (!ready) {
            return ready.error();
        }
        auto line = show_name((*ready)->memory(), name.bytes());
        return (*ready)->memory().covered() ? damaged((*ready)->memory()) : std::move(line);
    }

    result<std::size_t> break_holds(const resource_name& name, std::optional<token> only,
                                    instant give_up) override {
        auto sits = visit("break", give_up);
        if (!sits) {
            return sits.error();
        }
        return local::break_holds(**sits, name, only);
    }

    result<void> resize(const resource_name& name, std::uint32_t permits, instant give_up) override {
        auto sits = visit("resize", give_up);
        if (!sits) {
            return sits.error();
        }
        return local::resize(**sits, name, permits);
    }

    std::shared_ptr<void> watch(const resource_name& name, std::function<void()> changed) override {
        const instant give_up = now(clock_source::monotonic) + std::chrono::seconds(1);
        auto ready = reach(give_up);
        if (!ready) {
            return nullptr;
        }
        found_name found = find_record((*ready)->memory(), name.bytes());
        if (found.what == found_name::outcome::absent) {
            const auto sits = visit("watch", give_up);
            if (!sits) {
                return nullptr;
            }
            found = find_or_make_record((*sits)->memory(), (*sits)->owner(), name.bytes());
        }
        return found.what == found_name::outcome::found
                   ? watch_record(*ready, found.record, std::move(changed))
                   : nullptr;
    }

    std::vector<finding> diagnose(std::chrono::nanoseconds ttl, instant give_up) override {
        return local::diagnose(path_, open_segment(path_, give_up, catches_), ttl);
    }

  private:
    /// A seat for the moment: whatever changes a line has to own the blocks that it writes.
    result<std::shared_ptr<seat>> visit(const char* what, instant give_up) {
        auto ready = reach(give_up);
        if (!ready) {
            return ready.error();
        }
        return seat::take(
            *ready, {.id = {}, .ttl = std::chrono::minutes(1), .who = core::describe_process(what, {})});
    }

    result<std::shared_ptr<engine>> reach(instant give_up, bool thread_later = false) {
        const core::latch_guard locked(guard_);
        if (engine_ && engine_->forked()) {
            return error(errc::misuse,
                         "this connection to the local store was made before a fork; connect again");
        }
        if (!engine_ || !engine_->memory().still_in_place()) {
            auto memory = open_segment(path_, give_up, catches_);
            if (!memory) {
                return memory.error();
            }
            engine_ = std::make_shared<engine>(std::move(*memory), thread_later);
        }
        return engine_;
    }

    const std::string path_;
    const bool threads_later_;
    const bool catches_;
    core::latch guard_;
    std::shared_ptr<engine> engine_ GUARDED_BY(guard_);
};

result<std::unique_ptr<store>> make(const core::store_config& config) {
    if (!config.url.endpoints.empty() || !config.url.user.empty()) {
        return error(errc::config,
                     config.url.redacted + " names a host; the local store is local: or local:/folder");
    }
    if (!config.url.query.empty()) {
        return error(errc::config, config.url.redacted + " has the option '" +
                                       config.url.query.begin()->first +
                                       "', which the local store does not know; leave it out");
    }
    if (!config.url.path.empty() && config.url.path.front() != '/') {
        return error(errc::config, config.url.redacted + " names a relative folder; write local:/folder");
    }
    return std::unique_ptr<store>(std::make_unique<local_store>(config));
}

} // namespace
} // namespace holdfast::local

extern "C" {
extern const holdfast::core::store_factory holdfast_store_local;
const holdfast::core::store_factory holdfast_store_local = holdfast::local::make;
}
