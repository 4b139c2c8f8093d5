// A hold: the right to use a resource until released, lost, or destroyed.
//
// A held is move-only and may move between threads; calls on one object must not overlap, except that
// token(), valid_for(), is_lost(), reason() and lost() may be called from any thread while it is not being
// moved, released or destroyed. It keeps everything it needs alive, also after its mutex and its locks object
// are gone. It does not promise that guarded code stops when it is lost: check it, watch lost(), or fence the
// writes.
//
//   state      | becomes                            | by
//   -----------+------------------------------------+------------------------------------------------
//   holding    | released                           | release(), destructor, move-assignment
//   holding    | lost (once, with a reason)         | its deadline, the store's word, a fork
//   lost       | stays lost                         | release() reports errc::lost and cleans up quietly
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include <holdfast/error.hpp>
#include <holdfast/types.hpp>

namespace holdfast {

class held;

namespace core {
class hold;
class grip;
template <typename Outcome>
class completion;
void start_release(held taken, std::unique_ptr<completion<result<void>>> done);
struct inside;
} // namespace core

/// One hold; see the top of this file for its states.
class held {
  public:
    /// Holds nothing.
    held() noexcept = default;
    /// For the faces.
    explicit held(std::shared_ptr<core::hold> state) noexcept;
    /// For the faces.
    explicit held(core::grip& state) noexcept : grip_(&state) {}
    /// Takes the hold over; the other holds nothing any more.
    held(held&& other) noexcept : grip_(std::exchange(other.grip_, nullptr)) {}
    /// Releases the old hold first.
    held& operator=(held&& other) noexcept {
        if (this != &other) {
            if (*this) {
                static_cast<void>(release());
            }
            grip_ = std::exchange(other.grip_, nullptr);
        }
        return *this;
    }
    held(const held&) = delete;
    held& operator=(const held&) = delete;
    /// Releases, within options::release_timeout; removal goes on in the background until the lease ends.
    ~held() {
        if (*this) {
            static_cast<void>(release());
        }
    }

    /// True while there is a hold to release, lost or not.
    explicit operator bool() const noexcept { return grip_ != nullptr; }

    /// The fencing token of this hold. Stays readable after loss. No round trip.
    holdfast::token token() const noexcept;

    /// How long the hold is certain to last without a further renewal; zero once lost, until_death without
    /// lease. This is the inline check: it reads the clock, and is right also after SIGSTOP or a suspend. No
    /// round trip.
    std::chrono::nanoseconds valid_for() const noexcept;

    /// valid_for() == 0.
    bool is_lost() const noexcept { return valid_for() <= std::chrono::nanoseconds::zero(); }

    /// Why it was lost; none while it was not.
    loss_reason reason() const noexcept;

    /// Fires once when the hold is lost, never on release. Callbacks run on a thread of the library's own,
    /// one after another; they must not block for long. In a forked child what is asked for there has fired;
    /// a token that was got before the fork stays silent, as the child has no thread to fire it.
    std::stop_token lost() const;

    /// The key under which the engine keeps this hold, for guards and for people: on etcd the claim's own
    /// key, on Redis the gate; empty where there is none, and once released. No round trip.
    std::string engine_key() const;

    /// Where another process can keep this hold's session from ending with ours; see life_word. Nothing where
    /// the store has no such place, and once released. Valid while the hold is.
    std::optional<life_word> second_life() const;

    /// Ends the hold. One round trip, within options::release_timeout; on Redis it is repeated for as long
    /// where the connection breaks, as a second removal does no harm. Errors: lost (it had ended before;
    /// nothing of anybody else's was touched), unavailable or unknown_outcome (the store did not confirm; it
    /// is tried again in the background, and ends by itself within ends_in()). Afterwards the object is
    /// empty.
    result<void> release();

  private:
    friend void core::start_release(held taken, std::unique_ptr<core::completion<result<void>>> done);
    friend struct core::inside;
    core::grip* grip_ = nullptr; ///< Ours until it is released.
};

} // namespace holdfast
