// What keeper and guard share: one page with the deadline, and a socket for what must be told at once.
//
// The page is written by the keeper and read by the guard, without locks: the guard needs the deadline also
// while the keeper is stopped. The socket's end tells each the other's death. Each side is used by one
// thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include <holdfast/store.hpp>

#include "cli/unique_fd.hpp"

namespace holdfast::cli {

struct shared_page {
    std::atomic<std::int64_t> deadline_ns{0}; ///< On the clock that the start message names.
};

enum class message_kind : std::int32_t {
    // keeper to guard
    second_life,  ///< text: life_word::offset, 8 bytes; with the descriptor of the file.
    start,        ///< value: clock_source; detail: the claim outlives the keeper; text: "NAME=value\0" each.
    forward,      ///< value: the signal for the command's group.
    resume,       ///< Continue the command, and give it the terminal; value not 0: once ours is.
    hold_is_gone, ///< The hold was lost by proof.
    // guard to keeper
    started,      ///< value: the command's pid.
    start_failed, ///< value: errno.
    stopped,      ///< value: the signal that stopped the command.
    continued,    ///< The command goes on.
    verdict,      ///< value: guard_verdict, as soon as it is reached.
    ended,        ///< value: wait status of the command; detail: guard_verdict. All its descendants are gone.
};

struct message {
    message_kind kind{};
    std::int32_t value = 0;
    std::int32_t detail = 0;
    std::string text;
    unique_fd fd; ///< Received with it; send() takes its own argument.
};

/// Both ends, made before the fork; each side keeps one. Throws std::system_error.
class guard_link {
  public:
    guard_link();
    guard_link(guard_link&& other) noexcept;
    guard_link(const guard_link&) = delete;
    ~guard_link();

    /// To be called once on each side of the fork.
    void become_keeper() noexcept { guard_end_.reset(); }
    void become_guard() noexcept { keeper_end_.reset(); }

    int fd() const noexcept { return keeper_end_ ? keeper_end_.get() : guard_end_.get(); }
    shared_page& page() const noexcept { return *page_; }

    /// False when the other side is gone, or has stopped reading long ago. Never blocks. A descriptor is
    /// duplicated for the other side.
    bool send(const message& what, int fd = -1) const noexcept;

    enum class received { message, nothing, other_side_gone };
    /// Reads one message without waiting.
    received receive(message& out) const;

  private:
    shared_page* page_ = nullptr;
    unique_fd keeper_end_;
    unique_fd guard_end_;
};

} // namespace holdfast::cli
