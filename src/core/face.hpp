// What the faces have in common: where they keep the holds of lock(), and how their forms ask the acquire
// machine.
#pragma once

#include <holdfast/locks.hpp>

#include "acquire.hpp"
#include "kept.hpp"

namespace holdfast::core {

/// What stands behind a mutex or shared_mutex and its copies.
class lockable final : public resource {
  public:
    lockable(std::shared_ptr<class client> client, resource_name name,
             std::shared_ptr<turns> in_turns = nullptr)
        : resource(std::move(client), std::move(name), lock_capacity, std::move(in_turns)) {}

    kept_holds exclusive; ///< Of lock().
    kept_holds shared;    ///< Of lock_shared().
};

/// The limits of try_acquire().
patience no_patience();
/// The limits of acquire().
patience patience_of(std::stop_token stop);
/// The limits of the forms with a duration.
patience patience_of(std::chrono::nanoseconds limit, std::stop_token stop);

/// acquire() with a duration: who gave one is told timed_out, never busy.
result<held> acquire_within(resource& from, std::uint32_t weight, std::chrono::nanoseconds limit,
                            std::stop_token stop);

/// For the Lockable forms: keeps the hold; false when it was busy or not in time; else throws.
bool keep_or_throw(kept_holds& in, result<held> outcome);

} // namespace holdfast::core
