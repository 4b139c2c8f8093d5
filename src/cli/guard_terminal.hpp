// Who has the terminal: the keeper's group, where a shell put it, or the command's.
//
// A command with the terminal on both sides gets it when it starts. In a pipeline (`run ... | less`) it
// belongs to others of the keeper's group too: there, and in a background job, the command gets it when it
// was stopped for want of it and the keeper's group has it. Not thread-safe; for a process that blocks
// SIGTTOU.
#pragma once

#include <sys/types.h>

#include "cli/unique_fd.hpp"

namespace holdfast::cli {

class guard_terminal {
  public:
    explicit guard_terminal(pid_t keeper_group) : keeper_group_(keeper_group) {}

    /// Before the command starts; it then calls give_to() itself.
    void open_if_on_both_sides();
    /// If the keeper's group has it.
    void give_to(pid_t command) const { move(keeper_group_, command); }
    void take_from(pid_t command) const { move(command, keeper_group_); }

    /// Whether a signal that stopped the command asks for the terminal.
    static bool is_asked_for_by(int stop_signal) noexcept;
    /// From now on lend() is to be tried again and again: nothing tells when a shell's `fg` brings it back.
    /// with_group: Ctrl-Z may have stopped others of the keeper's group, who are to go on then.
    void want(bool with_group) noexcept;
    void want_no_more() noexcept { wanted_ = with_group_ = false; }
    bool is_wanted() const noexcept { return wanted_; }
    /// Hands it to the stopped command and continues it. False as long as the keeper's group has not got it.
    bool lend(pid_t command);

  private:
    void open();
    void move(pid_t from, pid_t to) const;

    pid_t keeper_group_;
    unique_fd terminal_;
    bool wanted_ = false;
    bool with_group_ = false;
};

} // namespace holdfast::cli
