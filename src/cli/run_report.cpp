#include "cli/run_report.hpp"

#include <cerrno>
#include <string_view>
#include <unistd.h>

#include "cli/exit_code.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {

void report_failure(run_report& report, const std::string& message, int code) {
    say(message);
    report.outcome = "error";
    report.reason = message;
    report.exit = code;
}

void report_cancelled(run_report& report, int signal_number) {
    report.outcome = "cancelled";
    report.signal = signal_number;
    report.exit = exit_code::signal_base + signal_number;
}

void write_report(int fd, const run_report& report) {
    const std::string line = report_line(report);
    std::string_view left = line;
    while (!left.empty()) {
        const ssize_t written = ::write(fd, left.data(), left.size());
        if (written < 0 && errno != EINTR) {
            say("cannot write to --status-fd " + std::to_string(fd));
            return;
        }
        left.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
    }
}

} // namespace holdfast::cli
