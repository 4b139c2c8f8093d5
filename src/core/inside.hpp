// How the library's own parts reach what a handle of the public face has inside.
#pragma once

#include <memory>
#include <utility>

#include <holdfast/held.hpp>
#include <holdfast/locks.hpp>

#include "grip.hpp"

namespace holdfast::core {

struct inside {
    /// Null for a handle that holds nothing.
    static std::shared_ptr<hold> of(const held& handle) {
        return handle.grip_ != nullptr ? handle.grip_->whole() : nullptr;
    }
    /// Null for a handle that holds nothing.
    static const grip* grip_of(const held& handle) noexcept { return handle.grip_; }
    /// Out of its handle, which holds nothing any more.
    static std::shared_ptr<hold> take(held& handle) {
        grip* const taken = std::exchange(handle.grip_, nullptr);
        return taken != nullptr ? taken->take() : nullptr;
    }
    static const std::shared_ptr<lockable>& of(const exclusive_access& face) noexcept { return face.state_; }
    static const std::shared_ptr<resource>& of(const semaphore& face) noexcept { return face.state_; }
};

} // namespace holdfast::core
