// Ends processes and all that descends from them, also what has left its process group.
//
// Works through /proc; where that is not mounted, only the process group is reached. A process that another
// reaper has adopted (systemd-run, a container runtime) is no descendant any more and is not reached.
#pragma once

#include <sys/types.h>

namespace holdfast::cli {

/// Sends the signal to every descendant of the calling process, and to the process group: at once when its
/// leader is a child of ours that was not yet reaped, else only when a descendant of ours is in it. With
/// SIGTERM, SIGCONT follows: a stopped process would not see it.
void signal_descendants(pid_t group, bool leader_is_ours, int signal_number) noexcept;

/// Kills all descendants again and again until none is left or a second has passed. For the keeper whose
/// guard died.
void kill_all_descendants(pid_t group) noexcept;

} // namespace holdfast::cli
