// The keeper: acquires, renews, serves signals, and tells the guard what it must know.
//
// It runs on the main thread of `holdfast run`, in the process that the user started. The library's threads
// renew beside it.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include <holdfast/holdfast.hpp>

#include "cli/guard.hpp"
#include "cli/options.hpp"
#include "cli/run_report.hpp"

namespace holdfast::cli {

struct keeper_order {
    run_options run;
    bool quiet = false;
    bool verbose = false;
    std::string url;
    options how;
    guard_limits limits;
};

/// Holds, lets the guard run the command, releases. The report's `signal` with outcome completed asks the
/// caller to die by that signal.
run_report keep(const keeper_order& order, guard_process& guard);

/// For poll(): rounded up, an hour at most; nothing waits for ever.
int milliseconds_until(std::optional<std::chrono::nanoseconds> left);

/// When the keeper looks again for a renewed deadline: soon after a renewal is due, then often. `validity` is
/// how long a hold is valid right after a renewal.
instant next_look(instant now, instant deadline, std::chrono::nanoseconds validity) noexcept;

} // namespace holdfast::cli
