// What keeper and guard share: one page with the deadline, and a socket for what must be told at once.
//
// The page is read without locks by who does not write it: the guard needs the deadline also while the keeper
// is stopped, and the keeper is not to be woken for what it need not know at once. The socket's end tells
// each the other's death. Each side is used by one thread.
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
    std::atomic<pid_t> command{0}; ///< Once it has been started. For who ends it if the guard is killed.
};

enum class message_kind : std::int32_t {
    // keeper to guard
    start,        ///< value: clock_source; detail: the claim outlives the keeper; text: "NAME=value\0" each.
                  ///< With a descriptor: of the file that has a life word for us; its life_word::offset, 8
                  ///< bytes, stands before the rest of the text.
    forward,      ///< value: the signal for the command's group.
    resume,       ///< Continue the command, and give it the terminal; value not 0: once ours is.
    hold_is_gone, ///< The hold was lost by proof.
    // guard to keeper
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
