// What people and programs read of the findings.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "frame.hpp"

namespace holdfast::bench {

/// "redis C44: what it compares", then goal, figure, reached for each check.
void print(std::ostream& to, const finding& what);
/// Reached, not reached and not measured, counted.
void print_summary(std::ostream& to, const std::vector<finding>& all);
/// All raw numbers, the machine and the commit. Throws std::runtime_error when the file cannot be written.
void write_json(const std::string& path, const std::vector<finding>& all);

} // namespace holdfast::bench
