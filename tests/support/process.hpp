#pragma once
// Child processes of a test. A child never outlives the test: the destructor kills and reaps it, and the
// kernel kills it when the test itself dies.

#include <chrono>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace holdfast::testing {

struct exit_status {
    int code = -1;  ///< What it returned, -1 when it died by a signal.
    int signal = 0; ///< What it died by, 0 when it returned.

    [[nodiscard]] bool ok() const noexcept { return code == 0; }
    bool operator==(const exit_status&) const = default;
};

/// Where a stream of the child goes.
struct redirect {
    enum class kind { inherit, null, file, pipe };
    kind to = kind::inherit;
    std::filesystem::path path{}; ///< For `file`: appended to, made where missing.

    static redirect null() { return {kind::null}; }
    static redirect file(std::filesystem::path path) { return {kind::file, std::move(path)}; }
    static redirect pipe() { return {kind::pipe}; }
};

struct process_options {
    std::vector<std::pair<std::string, std::string>>
        env{}; ///< Added to the test's own environment, or replacing in it.
    std::vector<std::string> unset_env{};
    std::filesystem::path cwd{};
    redirect out{};
    redirect err{}; ///< With the same file as `out`: one stream, as with 2>&1.
    std::optional<std::string>
        input{};             ///< All of standard input; without it, /dev/null or, if asked for, a pipe.
    bool input_pipe = false; ///< Standard input is a pipe: write_input(), close_input().
    bool own_group = false;  ///< In a process group of its own; the destructor then kills the whole group.
    std::vector<int> keep_fds{}; ///< Every other descriptor above 2 is closed in the child.
    std::optional<uid_t> uid{};  ///< With gid: run as somebody else (needs root).
    std::optional<gid_t> gid{};
};

/// True when no process has this id any more.
bool is_gone(pid_t pid);

/// Starts with the signal mask empty and every signal at its default.
///
/// signal(), running(), wait() and pid() may be called from any thread; the streams belong to one thread at a
/// time. The kernel binds a child to the *thread* that started it: when that thread ends, the child is
/// killed. Start children that must live longer on the main thread.
class child_process {
  public:
    /// The command is looked up in PATH. Throws std::system_error when it cannot be started, that is also
    /// when it is missing.
    explicit child_process(std::vector<std::string> argv, const process_options& options = {});
    ~child_process();
    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// False when it has ended already: a pid that somebody else may have by now is never signalled.
    bool signal(int number);
    [[nodiscard]] bool running();
    /// Empty when it still runs after `bound`.
    [[nodiscard]] std::optional<exit_status> wait(std::chrono::milliseconds bound);
    /// SIGKILL, to the group where it has its own, and reaps. Does nothing after the end.
    void kill();

    /// The next line of a piped stream, without its newline; empty at the end of the stream or after `bound`.
    [[nodiscard]] std::optional<std::string> read_line(std::chrono::milliseconds bound) {
        return out_.line(bound);
    }
    [[nodiscard]] std::optional<std::string> read_error_line(std::chrono::milliseconds bound) {
        return err_.line(bound);
    }
    /// What is left of a piped stream until its end or `bound`.
    [[nodiscard]] std::string read_all(std::chrono::milliseconds bound) { return out_.all(bound); }
    [[nodiscard]] std::string read_all_errors(std::chrono::milliseconds bound) { return err_.all(bound); }

    /// False when the child does not read any more.
    bool write_input(std::string_view text);
    void close_input();

  private:
    class reader {
      public:
        ~reader();
        void open(int fd) { fd_ = fd; }
        std::optional<std::string> line(std::chrono::milliseconds bound);
        std::string all(std::chrono::milliseconds bound);

      private:
        bool fill(std::chrono::steady_clock::time_point deadline);
        int fd_ = -1;
        std::string buffer_;
    };

    void look_locked(bool block, bool keep_zombie);

    pid_t pid_ = -1;
    int pidfd_ = -1;
    int input_ = -1;
    bool own_group_ = false;
    reader out_;
    reader err_;
    std::mutex
        mutex_; // Guards what follows, and keeps a signal from meeting a pid that was reaped meanwhile.
    bool reaped_ = false;
    std::optional<exit_status> status_;
};

struct finished_process {
    exit_status status;
    std::string out;
    std::string err;
};

/// Runs a command to its end and returns what it said. Throws std::runtime_error, with what it said, when it
/// still runs after `bound`; it is killed then.
[[nodiscard]] finished_process run_process(std::vector<std::string> argv, std::chrono::milliseconds bound,
                                           process_options options = {});

} // namespace holdfast::testing
