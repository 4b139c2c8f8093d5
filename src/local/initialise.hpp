// Bringing an opened segment file into a state that this process may use. See folder.hpp for the rules.
#pragma once

#include <memory>
#include <string>

#include <holdfast/error.hpp>

#include "mapping.hpp"

namespace holdfast::local {

/// Takes a share of the presence lock, initialises the segment if it must be and we are alone, checks it and
/// maps it. Null: another process is at it; try again. Errors: config, naming the file and the remedy.
result<std::unique_ptr<mapping>> prepare(int fd, const std::string& file, bool catches);

} // namespace holdfast::local
