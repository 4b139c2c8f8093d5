// A program on a pseudo-terminal of its own.
#pragma once

#include "command.hpp"

#include <csignal>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/wait_for.hpp"

namespace holdfast::cli {

/// A session of its own on a new terminal. Killed with the object.
class on_terminal {
  public:
    on_terminal(const words& command, const std::vector<std::pair<std::string, std::string>>& environment) {
        std::vector<char*> arguments;
        for (const std::string& argument : command) {
            arguments.push_back(const_cast<char*>(argument.c_str()));
        }
        arguments.push_back(nullptr);
        pid_ = ::forkpty(&terminal_, nullptr, nullptr, nullptr);
        if (pid_ == 0) {
            for (const auto& [name, value] : environment) {
                ::setenv(name.c_str(), value.c_str(), 1);
            }
            ::execvp(arguments[0], arguments.data());
            std::_Exit(127);
        }
    }
    ~on_terminal() {
        ::close(terminal_); // Hangs up: the session's foreground group ends.
        if (!ended_) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }
    on_terminal(const on_terminal&) = delete;
    on_terminal& operator=(const on_terminal&) = delete;

    void type(const std::string& text) {
        ASSERT_EQ(::write(terminal_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }

    /// Reads until the text has appeared.
    bool shows(const std::string& text) {
        return holdfast::testing::wait_for(
            [&] {
                pollfd source{terminal_, POLLIN, 0};
                char bytes[4096];
                ssize_t got = 0;
                while (::poll(&source, 1, 0) > 0 && (got = ::read(terminal_, bytes, sizeof bytes)) > 0) {
                    shown_.append(bytes, static_cast<std::size_t>(got));
                }
                return shown_.find(text) != std::string::npos;
            },
            bound);
    }

    const std::string& shown() const { return shown_; }
    pid_t pid() const { return pid_; }
    pid_t foreground() const { return ::tcgetpgrp(terminal_); }

    int wait() {
        int status = 0;
        ended_ =
            holdfast::testing::wait_for([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, bound);
        return ended_ ? status : -1;
    }

  private:
    int terminal_ = -1;
    pid_t pid_ = -1;
    bool ended_ = false;
    std::string shown_;
};

} // namespace holdfast::cli
