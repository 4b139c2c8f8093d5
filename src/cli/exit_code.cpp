#include "cli/exit_code.hpp"

#include <cerrno>

namespace holdfast::cli {

int exit_code_for(errc code) noexcept {
    switch (code) {
    case errc::busy:
    case errc::timed_out:
    case errc::cancelled:
        return exit_code::not_acquired;
    case errc::lost:
        return exit_code::lost;
    case errc::unavailable:
    case errc::unknown_outcome:
    case errc::level_not_met:
        return exit_code::unavailable;
    case errc::unauthorized:
        return exit_code::unauthorized;
    case errc::misuse:
        return exit_code::usage;
    case errc::config:
        return exit_code::config;
    }
    return exit_code::internal;
}

int exit_code_for_exec(int error_number) noexcept {
    return error_number == ENOENT ? exit_code::not_found : exit_code::cannot_run;
}

} // namespace holdfast::cli
