#include "cli/processes.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "cli/unique_fd.hpp"

namespace holdfast::cli {
namespace {

struct process {
    pid_t pid = 0;
    pid_t parent = 0;
    pid_t group = 0;
    unsigned long long started = 0; ///< In clock ticks; with the pid it names a process for ever.
};

/// Reads /proc/PID/stat; false when the process is gone.
bool read_process(pid_t pid, process& out) noexcept {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
    const unique_fd fd(::open(path, O_RDONLY | O_CLOEXEC));
    char text[1024];
    const ssize_t size = fd ? ::read(fd.get(), text, sizeof text - 1) : -1;
    if (size <= 0) {
        return false;
    }
    text[size] = '\0';
    // The name in brackets may hold anything, brackets too: the fields begin after the last one.
    const char* fields = std::strrchr(text, ')');
    if (fields == nullptr) {
        return false;
    }
    out.pid = pid;
    return std::sscanf(fields + 1,
                       " %*c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                       &out.parent, &out.group, &out.started) == 3;
}

std::vector<process> all_processes() {
    std::vector<process> found;
    DIR* folder = ::opendir("/proc");
    if (folder == nullptr) {
        return found;
    }
    while (const dirent* entry = ::readdir(folder)) {
        const std::string_view name = entry->d_name;
        pid_t pid = 0;
        const auto [stop, failure] = std::from_chars(name.data(), name.data() + name.size(), pid);
        process one;
        if (failure == std::errc() && stop == name.data() + name.size() && read_process(pid, one)) {
            found.push_back(one);
        }
    }
    ::closedir(folder);
    return found;
}

std::vector<process> descendants_of_self() {
    std::vector<process> left = all_processes();
    std::vector<process> family;
    std::vector<pid_t> parents{::getpid()};
    while (!parents.empty()) {
        const pid_t parent = parents.back();
        parents.pop_back();
        const auto children = std::stable_partition(
            left.begin(), left.end(), [parent](const process& each) { return each.parent != parent; });
        for (auto child = children; child != left.end(); ++child) {
            parents.push_back(child->pid);
            family.push_back(*child);
        }
        left.erase(children, left.end());
    }
    return family;
}

/// Signals exactly the process that was listed, not one that got its number since.
void signal_one(const process& target, int signal_number) noexcept {
    const unique_fd fd(static_cast<int>(::syscall(SYS_pidfd_open, target.pid, 0)));
    process again;
    if (fd && read_process(target.pid, again) && again.started == target.started) {
        ::syscall(SYS_pidfd_send_signal, fd.get(), signal_number, nullptr, 0);
    }
}

} // namespace

void signal_descendants(pid_t group, bool leader_is_ours, int signal_number) noexcept {
    const int follow_up = signal_number == SIGTERM ? SIGCONT : 0;
    const auto signal_group = [group, signal_number, follow_up] {
        ::kill(-group, signal_number);
        if (follow_up != 0) {
            ::kill(-group, follow_up);
        }
    };
    // The group first: to look for the others takes milliseconds, and the next holder may not wait.
    if (leader_is_ours) {
        signal_group();
    }
    const std::vector<process> family = descendants_of_self();
    const bool somebody_of_ours = std::any_of(family.begin(), family.end(),
                                              [group](const process& each) { return each.group == group; });
    if (!leader_is_ours && group > 0 && somebody_of_ours) {
        signal_group(); // Without a descendant of ours in it, its number may belong to somebody else by now.
    }
    for (const process& each : family) {
        if (each.group != group) {
            signal_one(each, signal_number);
            if (follow_up != 0) {
                signal_one(each, follow_up);
            }
        }
    }
}

void kill_all_descendants(pid_t group) noexcept {
    constexpr int rounds = 100;
    for (int round = 0; round < rounds; ++round) {
        signal_descendants(group, false, SIGKILL);
        pid_t reaped = 0;
        while ((reaped = ::waitpid(-1, nullptr, WNOHANG)) > 0) {
        }
        if (reaped < 0 && errno == ECHILD) {
            return;
        }
        const timespec pause{.tv_sec = 0, .tv_nsec = 10'000'000};
        ::nanosleep(&pause, nullptr);
    }
}

} // namespace holdfast::cli
