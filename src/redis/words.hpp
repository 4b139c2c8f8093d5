// What the server's error replies mean for a caller.
#pragma once

#include <holdfast/error.hpp>

#include "resp.hpp"
#include "settings.hpp"

namespace holdfast::redis {

/// Unauthorized (with the rights that are needed), config (a server of another kind), or unavailable, with
/// the server's own words. Precondition: got.is_error().
error error_of(const reply& got, const settings& where);

} // namespace holdfast::redis
