// Which signals the keeper serves, and how it receives them.
//
// They must be blocked before any thread is made; see block_signals() in cli/guard.hpp.
#pragma once

#include "cli/unique_fd.hpp"

namespace holdfast::cli {

/// TERM, INT, HUP and QUIT: they end a wait, and are forwarded to the command.
bool ends_waiting(int signal_number);

/// A signalfd of everything that the keeper serves. Not open when that fails.
unique_fd open_keeper_signals();

/// From now on Ctrl-Z must not stop the renewal: SIGTSTP is served as the others are.
void serve_stop_signals(const unique_fd& keeper_signals);

} // namespace holdfast::cli
