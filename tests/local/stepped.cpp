#include "local/stepped.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <linux/futex.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::testing {
namespace {

/// The scenarios have so many sessions at most, and each takes cells and blocks of its slot's own part first.
constexpr std::size_t sessions = 6;
constexpr std::size_t names = 400;

template <typename T>
bool read_memory(pid_t of, std::uintptr_t at, T& into) {
    const iovec here{&into, sizeof into};
    const iovec there{reinterpret_cast<void*>(at), sizeof into};
    return process_vm_readv(of, &here, 1, &there, 1, 0) == static_cast<ssize_t>(sizeof into);
}

} // namespace

watched_segment::watched_segment(const local::segment& in, bool with_names)
    : base_(reinterpret_cast<const char*>(&in.data())) {
    const auto& data = in.data();
    watch(&data.head, 128);
    watch(data.slots.data(), sessions * sizeof(local::slot));
    const std::size_t records = with_names ? names : 4;
    watch(data.records.data(), records * sizeof(local::record));
    watch(data.names.data(), records * sizeof(local::name_text));
    if (with_names) {
        watch(data.table.data(), sizeof data.table);
    }
    constexpr std::size_t cells = sessions * local::cell_count / local::slot_count;
    watch(data.cells.data(), cells * sizeof(local::cell));
    watch(data.poked.data(), cells / 64 * sizeof(local::word64));
    watch(data.small_blocks.data(), (sessions + 1) * 16 * sizeof data.small_blocks[0]);
    static_cast<void>(changed());
    first_.assign(base_, base_ + sizeof(local::segment_layout));
}

void watched_segment::watch(const void* from, std::size_t bytes) {
    parts_.push_back({static_cast<std::size_t>(static_cast<const char*>(from) - base_), bytes});
    last_.resize(last_.size() + bytes);
}

bool watched_segment::changed() {
    bool news = false;
    char* last = last_.data();
    for (const part& each : parts_) {
        if (std::memcmp(last, base_ + each.at, each.bytes) != 0) {
            std::memcpy(last, base_ + each.at, each.bytes);
            news = true;
        }
        last += each.bytes;
    }
    return news;
}

std::string watched_segment::blind_spot() const {
    std::size_t from = 0;
    std::vector<part> parts = parts_;
    parts.push_back({sizeof(local::segment_layout), 0});
    std::sort(parts.begin(), parts.end(), [](const part& a, const part& b) { return a.at < b.at; });
    for (const part& each : parts) {
        const auto found =
            std::mismatch(first_.data() + from, first_.data() + each.at, base_ + from).first - first_.data();
        if (static_cast<std::size_t>(found) != each.at) {
            return "the byte at " + std::to_string(found) + " has changed and is not watched";
        }
        from = each.at + each.bytes;
    }
    return {};
}

stepped::stepped(std::vector<std::string> argv) {
    std::vector<char*> words;
    for (std::string& each : argv) {
        words.push_back(each.data());
    }
    words.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
        personality(ADDR_NO_RANDOMIZE); // One run's addresses are to be found again in the next one.
        ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        execv(words[0], words.data());
        _exit(127);
    }
    stops_with(SIGTRAP); // At its start.
}

bool stepped::to_mark() {
    ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
    const bool there = stops_with(SIGSTOP);
    find_life_list();
    return there;
}

bool stepped::step() {
    ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
    return stops_with(SIGTRAP);
}

std::uintptr_t stepped::at() const {
#if defined(__x86_64__)
    return static_cast<std::uintptr_t>(ptrace(PTRACE_PEEKUSER, pid_, offsetof(user, regs.rip), nullptr));
#else
    return 0;
#endif
}

bool stepped::run_to([[maybe_unused]] std::uintptr_t instruction, [[maybe_unused]] std::size_t times) {
#if defined(__x86_64__)
    constexpr std::size_t address_register = offsetof(user, u_debugreg);
    constexpr std::size_t control_register = offsetof(user, u_debugreg) + 7 * sizeof(user::u_debugreg[0]);
    constexpr unsigned long first_one_on_execution = 1;
    if (ptrace(PTRACE_POKEUSER, pid_, address_register, instruction) != 0 ||
        ptrace(PTRACE_POKEUSER, pid_, control_register, first_one_on_execution) != 0) {
        return false;
    }
    bool there = true;
    for (std::size_t time = 0; time < times && there; ++time) {
        ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
        there = stops_with(SIGTRAP) && at() == instruction;
    }
    ptrace(PTRACE_POKEUSER, pid_, control_register, 0UL);
    return there;
#else
    return false;
#endif
}

bool stepped::was_system_call() const {
#if defined(__x86_64__)
    // The instruction leaves the address of the next one in rcx, and nothing else is likely to.
    user_regs_struct registers{};
    return ptrace(PTRACE_GETREGS, pid_, nullptr, &registers) != 0 || registers.rcx == registers.rip;
#else
    return true;
#endif
}

void stepped::find_life_list() {
    const std::filesystem::path tasks = "/proc/" + std::to_string(pid_) + "/task";
    std::error_code ignored;
    for (const auto& each : std::filesystem::directory_iterator(tasks, ignored)) {
        robust_list_head* at = nullptr;
        std::size_t bytes = 0;
        robust_list_head head{};
        const auto tid = std::stol(each.path().filename().string());
        constexpr long far = 4096; // The C library has its futexes beside their nodes.
        if (syscall(SYS_get_robust_list, tid, &at, &bytes) == 0 &&
            read_memory(pid_, reinterpret_cast<std::uintptr_t>(at), head) &&
            std::abs(head.futex_offset) > far) {
            life_list_ = reinterpret_cast<std::uintptr_t>(at);
        }
    }
}

std::vector<std::uintptr_t> stepped::life_list() const {
    std::vector<std::uintptr_t> found;
    std::uintptr_t next = life_list_;
    while (next != 0 && found.size() < 64 && read_memory(pid_, next, next) && next != life_list_) {
        found.push_back(next);
    }
    return found;
}

void stepped::kill() {
    if (!gone_) {
        ::kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        gone_ = true;
    }
}

bool stepped::stops_with(int signal) {
    int status = 0;
    if (waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status)) {
        gone_ = true;
        return false;
    }
    return WSTOPSIG(status) == signal;
}

} // namespace holdfast::testing
