#pragma once

#include <fstream>
#include <string>

namespace holdfast::testing {

/// A number of /proc/self/status: Threads, or VmRSS in kB.
inline long own_status(const std::string& field) {
    std::ifstream in("/proc/self/status");
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with(field + ":")) {
            return std::stol(line.substr(field.size() + 1));
        }
    }
    return 0;
}

} // namespace holdfast::testing
