// The store on one Redis master: connecting, and what the topology promises.
#pragma once

#include <holdfast/store.hpp>

#include "core/annotations.hpp"
#include "engine.hpp"

namespace holdfast::redis {

class store final : public holdfast::store {
  public:
    explicit store(settings where) : engine_(std::make_shared<engine>(std::move(where))) {}

    store_traits traits() const override;
    result<void> check(instant give_up) override;
    result<std::shared_ptr<store_session>> open(const session_request& request, instant give_up) override;
    result<std::vector<resource_status>> list(instant give_up) override;
    result<resource_status> show(const resource_name& name, instant give_up) override;
    result<std::size_t> break_holds(const resource_name& name, std::optional<token> only,
                                    instant give_up) override;
    result<void> resize(const resource_name& name, std::uint32_t permits, instant give_up) override;
    std::vector<finding> diagnose(std::chrono::nanoseconds ttl, instant give_up) override;

  private:
    const std::shared_ptr<engine> engine_;
    mutable core::latch guard_;
    level gives_ GUARDED_BY(guard_) = level::efficiency;
    std::string why_ GUARDED_BY(guard_) = "the server has not been asked yet";
};

/// Everything that stands in a line, or in a gate of ours. In listing.cpp.
result<std::vector<resource_status>> list_resources(engine& on, instant give_up);
/// The line of one name.
result<resource_status> show_resource(engine& on, const std::string& name, instant give_up);

} // namespace holdfast::redis
