// What lock() keeps inside a mutex or shared_mutex, seen from outside: a view of one hold.
//
// Thread-safe, and safe to keep: it asks the hold at each call, and once the hold has been unlocked the view
// says so. It owns nothing; unlock() alone ends the hold.
//
//   the hold is  | token()  | valid_for() | reason()       | lost()
//   -------------+----------+-------------+----------------+-----------------------------
//   holding      | its own  | > 0         | none           | fires when it is lost
//   lost         | its own  | 0           | why            | has fired, or is about to
//   unlocked     | its own  | 0           | none           | a token that never fires
//   in a child   | its own  | 0           | forked         | has fired
//   (none taken) | 0        | 0           | none           | a token that never fires
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>

#include <holdfast/types.hpp>

namespace holdfast {

namespace core {
class kept_holds;
class lockable;
} // namespace core

/// One hold that lock() or lock_shared() keeps. No call makes a round trip.
class current_hold {
  public:
    /// A view of nothing.
    current_hold() noexcept = default;
    /// For the faces; see mutex::current().
    current_hold(std::shared_ptr<core::lockable> of, core::kept_holds& among,
                 holdfast::token granted) noexcept
        : of_(std::move(of)), among_(&among), token_(granted) {}

    /// Whether there was a hold when the view was made.
    explicit operator bool() const noexcept { return of_ != nullptr; }

    /// The fencing token of the hold; also after it has ended. 0 for a view of nothing.
    holdfast::token token() const noexcept { return token_; }

    /// How long it is certain to last without a further renewal; zero once lost or unlocked. See
    /// held::valid_for.
    std::chrono::nanoseconds valid_for() const noexcept;

    /// valid_for() == 0.
    bool is_lost() const noexcept { return valid_for() <= std::chrono::nanoseconds::zero(); }

    /// Why it was lost; none while it holds, and once it has been unlocked.
    loss_reason reason() const noexcept;

    /// Fires once when the hold is lost, never on unlock. Get it while the hold lasts; callbacks as of
    /// held::lost.
    std::stop_token lost() const;

  private:
    std::shared_ptr<core::lockable> of_;
    core::kept_holds* among_ = nullptr; ///< Inside *of_.
    holdfast::token token_;
};

} // namespace holdfast
