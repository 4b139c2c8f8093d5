#include "support/process.hpp"

#include "support/temp_dir.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <grp.h>
#include <iterator>
#include <poll.h>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace holdfast::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class unique_fd {
  public:
    unique_fd() noexcept = default;
    explicit unique_fd(int fd) noexcept : fd_(fd) {}
    unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
    unique_fd& operator=(unique_fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~unique_fd() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    [[nodiscard]] int get() const noexcept { return fd_; }
    int release() noexcept { return std::exchange(fd_, -1); }

  private:
    int fd_ = -1;
};

int checked(int value, const std::string& what) {
    if (value < 0) {
        throw std::system_error(errno, std::generic_category(), what);
    }
    return value;
}

struct pipe_ends {
    unique_fd read;
    unique_fd write;
};

pipe_ends make_pipe() {
    std::array<int, 2> ends{};
    checked(::pipe2(ends.data(), O_CLOEXEC), "pipe2");
    return {unique_fd(ends[0]), unique_fd(ends[1])};
}

/// What one stream of the child is connected to, and our end of it where it is a pipe.
struct stream {
    unique_fd childs;
    unique_fd ours;
};

stream open_output(const redirect& where) {
    switch (where.to) {
    case redirect::kind::inherit:
        return {};
    case redirect::kind::null:
        return {unique_fd(checked(::open("/dev/null", O_WRONLY | O_CLOEXEC), "/dev/null")), unique_fd()};
    case redirect::kind::file:
        return {unique_fd(checked(::open(where.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644),
                                  where.path.string())),
                unique_fd()};
    case redirect::kind::pipe:
        break;
    }
    auto ends = make_pipe();
    return {std::move(ends.write), std::move(ends.read)};
}

stream open_input(const process_options& options) {
    if (options.input_pipe) {
        auto ends = make_pipe();
        return {std::move(ends.read), std::move(ends.write)};
    }
    if (!options.input) {
        return {unique_fd(checked(::open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null")), unique_fd()};
    }
    // A file in memory and not a pipe: nobody has to feed it while the child runs.
    unique_fd file(checked(::memfd_create("input", MFD_CLOEXEC), "memfd_create"));
    std::string_view rest = *options.input;
    while (!rest.empty()) {
        const ssize_t count = ::write(file.get(), rest.data(), rest.size());
        checked(count < 0 ? -1 : 0, "write input");
        rest.remove_prefix(static_cast<std::size_t>(count));
    }
    checked(static_cast<int>(::lseek(file.get(), 0, SEEK_SET)), "lseek");
    return {std::move(file), unique_fd()};
}

std::vector<std::string> environment_of(const process_options& options) {
    std::vector<std::string> result;
    const auto is_replaced = [&](std::string_view entry) {
        const auto name = entry.substr(0, entry.find('='));
        return std::any_of(options.env.begin(), options.env.end(),
                           [&](const auto& pair) { return pair.first == name; }) ||
               std::find(options.unset_env.begin(), options.unset_env.end(), name) != options.unset_env.end();
    };
    for (char** entry = environ; *entry != nullptr; ++entry) {
        if (!is_replaced(*entry)) {
            result.emplace_back(*entry);
        }
    }
    for (const auto& [name, value] : options.env) {
        result.push_back(name + "=" + value);
    }
    return result;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
    std::vector<char*> result;
    result.reserve(strings.size() + 1);
    for (auto& string : strings) {
        result.push_back(string.data());
    }
    result.push_back(nullptr);
    return result;
}

/// Everything the child needs, made before the fork: after it only async-signal-safe calls are allowed,
/// because another thread may have held the allocator's lock.
struct launch_plan {
    char** argv;
    char** envp;
    const char* cwd;
    int in;
    int out;
    int err;
    int report; // Where errno of a failed start is written; closed by a successful exec.
    pid_t parent;
    const process_options* options;
};

bool become(const process_options& options) {
    if (options.gid && (::setgroups(0, nullptr) != 0 || ::setgid(*options.gid) != 0)) {
        return false;
    }
    return !options.uid || ::setuid(*options.uid) == 0;
}

bool place_descriptors(const launch_plan& plan) {
    if (::dup2(plan.in, STDIN_FILENO) < 0 || (plan.out >= 0 && ::dup2(plan.out, STDOUT_FILENO) < 0) ||
        (plan.err >= 0 && ::dup2(plan.err, STDERR_FILENO) < 0)) {
        return false;
    }
    if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
        return false;
    }
    for (const int fd : plan.options->keep_fds) {
        if (::fcntl(fd, F_SETFD, 0) != 0) {
            return false;
        }
    }
    return true;
}

void reset_signals() {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number) {
        ::sigaction(number, &standard, nullptr); // SIGKILL, SIGSTOP and libc's own refuse, as they should.
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void run_child(const launch_plan& plan) {
    reset_signals();
    // The parent-death signal is set after the change of user: the change clears it. If the parent has died
    // before, the kernel has nothing left to tell us, hence the look at getppid().
    const bool ready = (!plan.options->own_group || ::setpgid(0, 0) == 0) && place_descriptors(plan) &&
                       (plan.cwd == nullptr || ::chdir(plan.cwd) == 0) && become(*plan.options) &&
                       ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
    if (ready && ::getppid() == plan.parent) {
        ::execvpe(plan.argv[0], plan.argv, plan.envp);
    }
    const int reason = errno;
    [[maybe_unused]] const auto written = ::write(plan.report, &reason, sizeof(reason));
    ::_exit(127);
}

int remaining_ms(steady_clock::time_point deadline) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count();
    return static_cast<int>(std::clamp<long long>(left, 0, 1'000'000'000));
}

/// True when something can be read (or the other end is closed) before the deadline.
bool readable(int fd, steady_clock::time_point deadline) {
    pollfd entry{fd, POLLIN, 0};
    for (;;) {
        const int count = ::poll(&entry, 1, remaining_ms(deadline));
        if (count >= 0 || errno != EINTR) {
            return count > 0;
        }
    }
}

} // namespace

child_process::child_process(std::vector<std::string> argv, const process_options& options)
    : own_group_(options.own_group) {
    if (argv.empty()) {
        throw std::invalid_argument("child_process: no command");
    }
    auto in = open_input(options);
    auto out = open_output(options.out);
    const bool merged = options.out.to == redirect::kind::file && options.err.to == redirect::kind::file &&
                        options.out.path == options.err.path;
    auto err = merged ? stream{} : open_output(options.err);
    auto report = make_pipe();
    auto environment = environment_of(options);
    auto argv_pointers = pointers_to(argv);
    auto env_pointers = pointers_to(environment);
    const launch_plan plan{
        argv_pointers.data(), env_pointers.data(), options.cwd.empty() ? nullptr : options.cwd.c_str(),
        in.childs.get(),      out.childs.get(),    merged ? out.childs.get() : err.childs.get(),
        report.write.get(),   ::getpid(),          &options};

    pid_ = checked(::fork(), "fork");
    if (pid_ == 0) {
        run_child(plan);
    }
    report.write = unique_fd();
    int reason = 0;
    if (::read(report.read.get(), &reason, sizeof(reason)) == static_cast<ssize_t>(sizeof(reason))) {
        look_locked(true, false);
        throw std::system_error(reason, std::generic_category(), "cannot start " + argv.front());
    }
    // Not pidfd_open(): the header of glibc 2.36 declares it without extern "C".
    pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0U));
    if (pidfd_ < 0) {
        const int why = errno;
        ::kill(pid_, SIGKILL);
        look_locked(true, false);
        throw std::system_error(why, std::generic_category(), "pidfd_open");
    }
    input_ = in.ours.release();
    out_.open(out.ours.release());
    err_.open(err.ours.release());
}

child_process::~child_process() {
    kill();
    close_input();
    if (pidfd_ >= 0) {
        ::close(pidfd_);
    }
}

void child_process::look_locked(bool block, bool keep_zombie) {
    if (reaped_ || (status_ && keep_zombie)) {
        return;
    }
    siginfo_t info{};
    int outcome = 0;
    do {
        outcome = ::waitid(P_PID, static_cast<id_t>(pid_), &info,
                           WEXITED | (block ? 0 : WNOHANG) | (keep_zombie ? WNOWAIT : 0));
    } while (outcome != 0 && errno == EINTR);
    if (outcome != 0) {
        reaped_ = true; // Somebody else reaped it (a test with waitpid(-1)): it is gone all the same.
        status_ = status_.value_or(exit_status{});
    } else if (info.si_pid == pid_) {
        reaped_ = !keep_zombie;
        status_ =
            info.si_code == CLD_EXITED ? exit_status{info.si_status, 0} : exit_status{-1, info.si_status};
    }
}

bool child_process::signal(int number) {
    const std::lock_guard lock(mutex_);
    look_locked(false, own_group_);
    return !status_ && ::kill(pid_, number) == 0;
}

bool child_process::running() {
    const std::lock_guard lock(mutex_);
    look_locked(false, own_group_);
    return !status_;
}

std::optional<exit_status> child_process::wait(milliseconds bound) {
    static_cast<void>(readable(pidfd_, steady_clock::now() + bound));
    const std::lock_guard lock(mutex_);
    look_locked(false, own_group_);
    return status_;
}

void child_process::kill() {
    const std::lock_guard lock(mutex_);
    if (reaped_) {
        return;
    }
    // The leader of a group stays a zombie until here, so that the group's number cannot be anybody else's.
    ::kill(own_group_ ? -pid_ : pid_, SIGKILL);
    look_locked(true, false);
}

bool child_process::write_input(std::string_view text) {
    // The test must not die when the child has stopped reading.
    static const auto ignored = std::signal(SIGPIPE, SIG_IGN);
    static_cast<void>(ignored);
    while (!text.empty()) {
        const ssize_t count = ::write(input_, text.data(), text.size());
        if (count < 0) {
            return false;
        }
        text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

void child_process::close_input() {
    if (input_ >= 0) {
        ::close(std::exchange(input_, -1));
    }
}

child_process::reader::~reader() {
    if (fd_ >= 0) {
        ::close(fd_);
    }
}

bool child_process::reader::fill(steady_clock::time_point deadline) {
    if (fd_ < 0 || !readable(fd_, deadline)) {
        return false;
    }
    std::array<char, 4096> chunk{};
    const ssize_t count = ::read(fd_, chunk.data(), chunk.size());
    if (count <= 0) {
        return false;
    }
    buffer_.append(chunk.data(), static_cast<std::size_t>(count));
    return true;
}

std::optional<std::string> child_process::reader::line(milliseconds bound) {
    const auto deadline = steady_clock::now() + bound;
    std::size_t end = 0;
    while ((end = buffer_.find('\n')) == std::string::npos) {
        if (!fill(deadline)) {
            return std::nullopt;
        }
    }
    std::string result = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    return result;
}

std::string child_process::reader::all(milliseconds bound) {
    const auto deadline = steady_clock::now() + bound;
    while (fill(deadline)) {
    }
    return std::exchange(buffer_, {});
}

finished_process run_process(std::vector<std::string> argv, milliseconds bound, process_options options) {
    const temp_dir folder("holdfast-run");
    const auto text_of = [](const std::filesystem::path& path) {
        std::ifstream file(path, std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(file), {});
    };
    options.out = redirect::file(folder / "out");
    options.err = redirect::file(folder / "err");
    const std::string name = argv.empty() ? "" : argv.front();
    child_process child(std::move(argv), options);
    const auto status = child.wait(bound);
    child.kill();
    finished_process result{status.value_or(exit_status{}), text_of(folder / "out"), text_of(folder / "err")};
    if (!status) {
        throw std::runtime_error(name + " still ran after " + std::to_string(bound.count()) +
                                 " ms; it said:\n" + result.out + result.err);
    }
    return result;
}

bool is_gone(pid_t pid) {
    return ::kill(pid, 0) != 0;
}

} // namespace holdfast::testing
