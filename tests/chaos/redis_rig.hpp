// One Redis master that keeps what it acknowledges, a second server to take its place, three clients' ways to
// them that can fail, and the troubles it may have: restarts with and without its memory, a server that
// stands still, a full disk, a full memory, a clock that is set, administrators, connections that break.
#pragma once

#include <array>
#include <chrono>
#include <memory>

#include <holdfast/holdfast.hpp>

#include "rig.hpp"

#include "support/servers.hpp"
#include "support/shifted_clock.hpp"
#include "support/small_disk.hpp"
#include "support/tcp_proxy.hpp"

namespace holdfast::chaos {

/// A server that can lose its memory, follow another one, and whose clock can be set.
class breakable_redis final : public testing::server_process {
  public:
    /// Both must outlive it. It begins with every write on the disk before it is acknowledged.
    breakable_redis(const testing::shifted_clock& clock, std::filesystem::path data);
    ~breakable_redis() override;

    [[nodiscard]] std::string url() const;
    /// From its next start on; 0: nobody.
    void follow(std::uint16_t master) { master_ = master; }
    /// Of one that is down: whatever it had on the disk is gone.
    void forget() const;
    /// Switched while it runs. Keeping again returns once all of its memory is on the disk.
    void keep_nothing();
    void keep_everything();

  private:
    std::vector<std::string> command() const override;
    testing::process_options options() const override;

    const testing::shifted_clock& clock_;
    const std::filesystem::path data_;
    std::uint16_t master_ = 0;
    bool keeps_ = true;
};

class redis_rig final : public rig {
  public:
    /// No lease is longer than this.
    explicit redis_rig(std::chrono::nanoseconds longest_ttl);

    std::vector<std::string> urls() const override;
    const std::vector<trouble>& troubles() const override { return troubles_; }
    std::vector<std::string> left_behind() override;

    /// The one of this name. Throws std::out_of_range.
    const trouble& named(const std::string& name) const;
    /// The one that the ways lead to.
    breakable_redis& master() noexcept { return *master_; }
    testing::shifted_clock& clock() noexcept { return clock_; }
    const testing::small_disk& disk() const noexcept { return disk_; }
    testing::tcp_proxy& way_of(std::size_t client) const { return *ways_.at(client); }
    static constexpr std::size_t clients = 3;

    /// A replica of the master is made, cut off from it, and takes its place while the master dies: whatever
    /// `meanwhile` and others did after the cut is forgotten.
    void promote_a_replica(const std::function<void()>& meanwhile);

  private:
    void restarts();
    void administrators();
    void networks();
    using fault_maker = std::function<testing::network_fault(sim::dice&)>;
    void on_all(const std::string& name, fault_maker fault);
    /// What a client that connects now is told. Throws std::logic_error where it is another level.
    void expect_declared(level wanted) const;
    void fill_disk();
    void come_back();

    const std::chrono::nanoseconds longest_ttl_;
    testing::shifted_clock clock_;
    testing::small_disk disk_;
    std::unique_ptr<breakable_redis> master_;
    std::unique_ptr<breakable_redis> other_; ///< Down, until it follows.
    std::array<std::unique_ptr<testing::tcp_proxy>, clients> ways_;
    std::vector<trouble> troubles_;
    instant died_{};
};

} // namespace holdfast::chaos
