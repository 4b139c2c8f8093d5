// What a `run` came to, for --status-fd.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace holdfast::cli {

struct run_report {
    /// completed, not_acquired, cancelled, not_started, lost, max_hold, error.
    std::string outcome = "error";
    int exit = 0;              ///< Our exit code, or 128 + signal.
    std::optional<int> signal; ///< That ended the command, or us while waiting.
    std::uint64_t token = 0;   ///< 0: nothing was held.
    std::chrono::nanoseconds waited{};
    std::chrono::nanoseconds held{};
    std::string reason; ///< A sentence, or empty.
};

/// Says the message, and notes it as an error with this exit code.
void report_failure(run_report& report, const std::string& message, int code);

/// Notes that a signal ended the waiting.
void report_cancelled(run_report& report, int signal_number);

/// One line, with its newline; see docs/json.md.
std::string report_line(const run_report& report);

/// Writes that line to the descriptor.
void write_report(int fd, const run_report& report);

} // namespace holdfast::cli
