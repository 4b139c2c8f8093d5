// One session of the store: a lease, its renewal, and the claims that stand in line under it (claims.hpp).
//
// Thread-safe. Nothing blocks but open, renew and close, each until its limit at most.
#pragma once

#include <atomic>
#include <memory>

#include <holdfast/store.hpp>

#include "claims.hpp"
#include "engine.hpp"
#include "keep_alive.hpp"

namespace holdfast::etcd {

class session final : public store_session {
  public:
    static result<std::shared_ptr<store_session>> open(std::shared_ptr<engine> with,
                                                       const session_request& request, instant give_up);
    session(std::shared_ptr<engine> with, std::int64_t lease, renewal opened, holder_info who);
    ~session() override;
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    renewal opened() const noexcept override { return opened_; }
    result<renewal> renew(instant give_up) override;
    void close(instant give_up) noexcept override;
    void append(std::shared_ptr<claim_events> entry, bool only_if_free) override;
    void remove(std::shared_ptr<claim_events> entry) override;
    void drive(claim_events& entry, instant until) override { with_->calls->drive(entry.place, until); }
    void interrupt(claim_events& entry) noexcept override;
    result<void> proclaim(claim_events& entry, std::string_view proposal, instant give_up) override;
    std::string engine_key(const claim_events& entry) const override;

  private:
    const std::shared_ptr<engine> with_;
    const std::int64_t lease_;
    const renewal opened_;
    const std::shared_ptr<claims> claims_;
    const std::shared_ptr<keep_alive> pulse_;
    std::atomic<bool> closed_{false};
};

} // namespace holdfast::etcd
