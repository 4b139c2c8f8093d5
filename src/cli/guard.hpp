// The guard: the process that starts the command and ends it in time, whether or not the keeper runs.
//
// It is forked first thing, before any thread or store library, stands in a process group of its own, blocks
// all signals, and is the reaper of everything that the command leaves behind. It does not promise anything
// once it is killed or stopped itself: then the command's parent-death signal and the keeper are what is
// left.
#pragma once

#include <csignal>
#include <string>
#include <sys/types.h>
#include <vector>

#include "cli/guard_link.hpp"
#include "cli/guard_plan.hpp"

namespace holdfast::cli {

/// How signals stood when the program was started; the command gets them back.
struct signal_state {
    sigset_t mask{};
};

/// Blocks everything but faults and the terminal's stop signals, and returns how it was before.
signal_state block_signals();

struct guard_order {
    std::vector<std::string> command;
    std::string name; ///< For messages.
    guard_limits limits;
    signal_state signals;
};

/// The keeper's side of a running guard.
struct guard_process {
    pid_t pid = 0;
    guard_link link;
};

/// Forks the guard. Throws std::system_error.
guard_process fork_guard(const guard_order& order);

} // namespace holdfast::cli
