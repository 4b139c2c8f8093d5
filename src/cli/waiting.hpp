// The keeper's first half: waits for its turn, and serves signals meanwhile.
//
// Used by one thread, once.
#pragma once

#include <optional>

#include <holdfast/holdfast.hpp>

#include "cli/acquisition.hpp"
#include "cli/keeper.hpp"
#include "cli/waiting_notice.hpp"

namespace holdfast::cli {

class waiting {
  public:
    /// All must outlive it. `signals` is the keeper's signalfd.
    waiting(const keeper_order& order, const guard_process& guard, int signals, run_report& report);

    /// The hold; nothing when there is none, and the report says why. The first ending signal leaves the
    /// line, the second ends this process at once.
    std::optional<held> run();

    /// After run() gave a hold.
    const locks& store() const { return *store_; }

  private:
    acquisition_request request() const;
    bool until_finished(acquisition& attempt);
    void cancel_by_signal(acquisition& attempt);
    [[noreturn]] void abandon();
    std::optional<held> accept(held got);
    void refuse(const error& why);

    const keeper_order& order_;
    const guard_process& guard_;
    int signals_;
    run_report& report_;
    std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
    std::optional<waiting_notice> notice_;
    std::optional<locks> store_;
    int cancelled_by_ = 0;
};

} // namespace holdfast::cli
