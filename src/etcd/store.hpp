// The etcd store: claims as keys under a lease, lines as key prefixes, waiting by watches.
//
// Thread-safe. Needs etcd 3.4 or later. Connects only when it is first asked something.
#pragma once

#include "engine.hpp"
#include "session.hpp"

namespace holdfast::etcd {

class etcd_store final : public store {
  public:
    explicit etcd_store(settings how) : with_(make_engine(std::move(how))) {}

    store_traits traits() const override;
    result<void> check(instant give_up) override;
    result<std::shared_ptr<store_session>> open(const session_request& request, instant give_up) override;
    result<std::vector<resource_status>> list(instant give_up) override;
    result<resource_status> show(const resource_name& name, instant give_up) override;
    result<std::size_t> break_holds(const resource_name& name, std::optional<token> only,
                                    instant give_up) override;
    result<void> resize(const resource_name& name, std::uint32_t permits, instant give_up) override;
    std::shared_ptr<void> watch(const resource_name& name, std::function<void()> changed) override;
    std::vector<finding> diagnose(std::chrono::nanoseconds ttl, instant give_up) override;

  private:
    const std::shared_ptr<engine> with_;
};

} // namespace holdfast::etcd
