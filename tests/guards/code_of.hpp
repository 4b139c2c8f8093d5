#pragma once

#include <optional>

#include <holdfast/error.hpp>

namespace holdfast::testing {

/// What a result came to, in one word; nothing when it succeeded.
template <typename T>
std::optional<errc> code_of(const result<T>& outcome) {
    return outcome ? std::nullopt : std::optional(outcome.error().code());
}

} // namespace holdfast::testing
