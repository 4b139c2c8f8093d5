// What the contract suite needs of a store under test, and the tools its tests are written with.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <holdfast/store.hpp>

namespace holdfast::testing {

/// One engine, running: the suite connects to it as often as it likes.
class world {
  public:
    virtual ~world() = default;
    /// A new connection, checked. Each stands for a process of its own.
    virtual std::unique_ptr<store> connect() = 0;
    /// For real processes; empty where there can be none.
    virtual std::string url() const { return {}; }
    /// The shortest TTL that the engine grants.
    virtual std::chrono::nanoseconds short_ttl() const = 0;
};

struct world_maker {
    std::string name;
    std::function<std::unique_ptr<world>()> make;
};

/// Every store that this build has, and the reference store.
std::vector<world_maker> all_worlds();

inline std::string world_name(const ::testing::TestParamInfo<world_maker>& info) {
    return info.param.name;
}

/// Longer than any test here takes.
inline constexpr std::chrono::seconds long_ttl{30};

/// A claim whose fate is written down.
class recorded_claim final : public claim_events {
  public:
    using claim_events::claim_events;

    void on_waiting() noexcept override;
    void on_granted(token granted) noexcept override;
    void on_refused(error why) noexcept override;
    void on_renewed(instant sent_at) noexcept override;
    void on_lost(loss_reason why) noexcept override;
    void on_removed(result<void> outcome) noexcept override;

    struct fate {
        int waiting = 0;
        int granted = 0;
        int renewed = 0;
        int lost = 0;
        int removed = 0;
        int removal_failed = 0;
        std::uint64_t token = 0;
        std::optional<error> refusal;
        loss_reason reason = loss_reason::none;
    };
    fate seen() const;

  private:
    mutable std::mutex mutex_;
    fate fate_;
};

/// One session as a process would have it.
class member {
  public:
    member(world& in, std::chrono::nanoseconds ttl);
    ~member();

    std::shared_ptr<recorded_claim> make(const std::string& name, std::uint32_t weight = lock_capacity,
                                         std::uint32_t capacity = lock_capacity,
                                         std::optional<std::string> proposal = {});
    void append(const std::shared_ptr<recorded_claim>& claim, bool only_if_free = false);
    /// make and append, and what came of it: granted, waiting or refused.
    std::shared_ptr<recorded_claim> stand(const std::string& name, std::uint32_t weight = lock_capacity,
                                          std::uint32_t capacity = lock_capacity, bool only_if_free = false);
    /// remove, and waits for the answer.
    void leave(const std::shared_ptr<recorded_claim>& claim);

    /// Lends the thread to the store until the condition holds, renewing as a living process does; false when
    /// it does not hold within the bound. A member that is not driven any more is dead to the others.
    bool drive(recorded_claim& claim, const std::function<bool(const recorded_claim::fate&)>& condition,
               std::chrono::nanoseconds bound = std::chrono::seconds(15));
    bool granted(const std::shared_ptr<recorded_claim>& claim,
                 std::chrono::nanoseconds bound = std::chrono::seconds(15));

    result<renewal> renew();

    store& engine() { return *store_; }
    store_session& session() { return *session_; }
    instant now() const { return holdfast::now(traits_.clock); }
    const store_traits& traits() const { return traits_; }

  private:
    std::unique_ptr<store> store_;
    store_traits traits_;
    std::array<std::uint8_t, 16> id_{};
    std::uint64_t last_number_ = 0;
    std::shared_ptr<store_session> session_;
    instant renew_at_;
};

} // namespace holdfast::testing
