// How the library's own parts reach what a handle of the public face has inside.
#pragma once

#include <memory>

#include <holdfast/held.hpp>
#include <holdfast/locks.hpp>

namespace holdfast::core {

struct inside {
    /// Null for a handle that holds nothing.
    static const std::shared_ptr<hold>& of(const held& handle) noexcept { return handle.state_; }
    static const std::shared_ptr<lockable>& of(const exclusive_access& face) noexcept { return face.state_; }
    static const std::shared_ptr<resource>& of(const semaphore& face) noexcept { return face.state_; }
};

} // namespace holdfast::core
