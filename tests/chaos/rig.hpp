// A real store with everything that can be done to it. One for each engine; main.cpp and the engine's own
// tests use it.
//
// One thread uses a rig, the one that made it.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "sim/dice.hpp"

namespace holdfast::chaos {

/// One way to break the store.
struct trouble {
    std::string name; ///< As it is printed and asked for.
    std::function<void(sim::dice&)> begin;
    std::function<void()> heal; ///< Returns once the store serves as before. Throws where it does not.
    /// It takes holds away from those who have them; these are told within a while, and fencing protects
    /// meanwhile.
    bool revokes = false;
    /// The store ends holds, or forgets them, of which nobody tells: the engine's declared level, or what it
    /// rests on by the documentation, says so. Whoever held learns of it by its next renewal, at its deadline
    /// at the latest; tokens rise all the same.
    bool forgets = false;
};

class rig {
  public:
    virtual ~rig() = default;
    /// One client each, and each by another way.
    [[nodiscard]] virtual std::vector<std::string> urls() const = 0;
    [[nodiscard]] virtual const std::vector<trouble>& troubles() const = 0;
    /// Whatever of Holdfast's is still in the store.
    [[nodiscard]] virtual std::vector<std::string> left_behind() = 0;
};

} // namespace holdfast::chaos
