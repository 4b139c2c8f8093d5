// Outcomes and errors of every Holdfast operation.
//
// Expected outcomes (busy, timed_out, lost, ...) travel in result<T>; exceptions are thrown only by
// result<T>::value(), by the Lockable faces and on allocation failure. All types here are plain values:
// safe to copy between threads, with no thread safety of their own.
#pragma once

#include <cassert>
#include <chrono>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

namespace holdfast {

/// What an operation came to. The numbers are stable: they may be logged and compared across versions.
enum class errc {
    busy = 1,            ///< try_* found the resource taken; nothing of ours stays in line.
    timed_out = 2,       ///< The caller's own deadline passed first; nothing of ours stays in line.
    cancelled = 3,       ///< The caller's stop_token fired first; nothing of ours stays in line.
    lost = 4,            ///< The hold (or the place in line) ended before its release.
    unavailable = 5,     ///< The store did not answer within the operation's time; nothing was done.
    unauthorized = 6,    ///< The store refused our credentials or rights.
    unknown_outcome = 7, ///< It may have happened. What may be left ends by itself, see error::ends_in().
    misuse = 8,          ///< Wrong kind, weight or capacity for this name, or an unusable argument.
    level_not_met = 9,   ///< The topology cannot give the level that options::require asks for.
    config = 10,         ///< Bad URL, option, or a store whose files cannot be used.
};

/// The category of errc, one object per program. Never throws.
const std::error_category& error_category() noexcept;

/// Makes errc usable as a std::error_code. Never throws.
std::error_code make_error_code(errc code) noexcept;

/// One failure: its class, and a sentence that names the step, the resource and the remedy.
class [[nodiscard]] error {
  public:
    /// A failure of this class, with a sentence for people.
    error(errc code, std::string message) : code_(code), message_(std::move(message)) {}
    /// An unknown outcome; see ends_in().
    error(errc code, std::string message, std::chrono::nanoseconds ends_in)
        : code_(code), message_(std::move(message)), ends_in_(ends_in) {}

    /// The class of the failure.
    errc code() const noexcept { return code_; }

    /// A full sentence for people. Never holds a password.
    const std::string& message() const noexcept { return message_; }

    /// For unknown_outcome: after this long, counted from the return, nothing of ours is left in the store.
    std::optional<std::chrono::nanoseconds> ends_in() const noexcept { return ends_in_; }

    /// Throws std::system_error with code() and message().
    [[noreturn]] void raise() const;

  private:
    errc code_;
    std::string message_;
    std::optional<std::chrono::nanoseconds> ends_in_;
};

/// A value or the error that stands in its place.
template <typename T>
class [[nodiscard]] result {
  public:
    /// Success, with its value.
    result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    /// Failure.
    result(holdfast::error failure) : state_(std::in_place_index<1>, std::move(failure)) {}

    /// True when there is a value.
    bool has_value() const noexcept { return state_.index() == 0; }
    /// As has_value().
    explicit operator bool() const noexcept { return has_value(); }

    /// The value. Precondition: has_value().
    T& operator*() & noexcept { return *checked(); }
    /// The value, not to be changed. Precondition: has_value().
    const T& operator*() const& noexcept { return *checked(); }
    /// The value, moved out: a loop over it outlives the result. Precondition: has_value().
    T operator*() && noexcept(std::is_nothrow_move_constructible_v<T>) { return std::move(*checked()); }
    /// Into the value. Precondition: has_value().
    T* operator->() noexcept { return checked(); }
    /// Into the value, not to be changed. Precondition: has_value().
    const T* operator->() const noexcept { return checked(); }

    /// The value; throws std::system_error when there is none.
    T& value() & {
        raise_if_failed();
        return *checked();
    }
    /// The value, moved out: a loop over it outlives the result. Throws std::system_error when there is none.
    T value() && {
        raise_if_failed();
        return std::move(*checked());
    }

    /// The failure. Precondition: !has_value().
    const holdfast::error& error() const noexcept {
        assert(state_.index() == 1);
        return *std::get_if<1>(&state_);
    }

  private:
    T* checked() noexcept {
        assert(has_value());
        return std::get_if<0>(&state_);
    }
    const T* checked() const noexcept {
        assert(has_value());
        return std::get_if<0>(&state_);
    }
    void raise_if_failed() const {
        if (!has_value()) {
            error().raise();
        }
    }

    std::variant<T, holdfast::error> state_;
};

/// Success, or the error that stands in its place.
template <>
class [[nodiscard]] result<void> {
  public:
    /// Success.
    result() = default;
    /// Failure.
    result(holdfast::error failure) : failure_(std::move(failure)) {}

    /// True on success.
    bool has_value() const noexcept { return !failure_.has_value(); }
    /// As has_value().
    explicit operator bool() const noexcept { return has_value(); }

    /// Throws std::system_error on failure.
    void value() const {
        if (failure_) {
            failure_->raise();
        }
    }

    /// The failure. Precondition: !has_value().
    const holdfast::error& error() const noexcept {
        assert(failure_.has_value());
        return *failure_;
    }

  private:
    std::optional<holdfast::error> failure_;
};

} // namespace holdfast

/// @cond
template <>
struct std::is_error_code_enum<holdfast::errc> : std::true_type {};
/// @endcond
