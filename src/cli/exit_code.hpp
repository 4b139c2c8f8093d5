// The exit codes of the command, in one place; docs and tests name the same numbers.
//
// Plain values, no state.
#pragma once

#include <holdfast/error.hpp>

namespace holdfast::cli {

namespace exit_code {
inline constexpr int ok = 0;
inline constexpr int usage = 64;        ///< Usage, kind or capacity mismatch, nested run.
inline constexpr int unavailable = 69;  ///< Store out of reach, level not met, unknown outcome.
inline constexpr int internal = 70;     ///< A defect, or our own guard was killed.
inline constexpr int not_acquired = 75; ///< Busy or timed out; -E overrides it.
inline constexpr int unauthorized = 77;
inline constexpr int config = 78;
inline constexpr int lost = 79;      ///< The lock was lost while CMD ran.
inline constexpr int max_hold = 124; ///< --max-hold passed, as timeout(1) has it.
inline constexpr int cannot_run = 126;
inline constexpr int not_found = 127;
inline constexpr int signal_base = 128; ///< Plus the signal's number.
} // namespace exit_code

/// The exit code for a failed operation. cancelled has no code of its own: the signal that cancelled decides.
int exit_code_for(errc code) noexcept;

/// The exit code for a command that execve refused with this errno.
int exit_code_for_exec(int error_number) noexcept;

} // namespace holdfast::cli
