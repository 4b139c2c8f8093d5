// "The line of this name may have changed": store::watch, on the watcher's stream.
//
// Thread-safe. The object that is returned waits, when it is destroyed, for a call that is under way on
// another thread; a call may destroy it too. No call begins afterwards.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "engine.hpp"

namespace holdfast::etcd {

std::shared_ptr<void> hint_on_change(const std::shared_ptr<engine>& with, const std::string& prefix,
                                     std::function<void()> changed);

} // namespace holdfast::etcd
