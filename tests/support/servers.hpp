#pragma once
// Real servers for tests, each in a folder of its own and on free ports of 127.0.0.1, without any password.
//
// Constructors start the server and return when it answers. A server that does not start throws
// std::runtime_error with the end of its log. All are stopped with the object, and killed by the kernel when
// the test dies. One thread uses an object; it must outlive no thread that made it (see support/process.hpp).

#include "support/process.hpp"
#include "support/temp_dir.hpp"

#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::testing {

/// What the servers have in common. The port and the data stay the same from start to start.
class server_process {
  public:
    virtual ~server_process() = default;
    server_process(const server_process&) = delete;
    server_process& operator=(const server_process&) = delete;

    /// Starts it (again). Does nothing while it runs.
    void start();
    /// The two halves of start(), for servers that cannot serve without one another.
    void launch();
    void await();
    /// Asks it to stop, as an operator would; after 10 s it is killed.
    void stop();
    /// SIGKILL: no goodbye to anybody.
    void kill();
    void restart();
    /// SIGSTOP makes it unreachable without closing anything, SIGCONT brings it back.
    void signal(int number);
    /// SIGSTOP, and returns once it stands still: the signal alone takes a while to arrive.
    void freeze();
    void thaw() { signal(SIGCONT); }

    [[nodiscard]] bool running();
    [[nodiscard]] pid_t pid() const;
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_.path(); }
    /// The last lines of what it wrote.
    [[nodiscard]] std::string log_tail() const;

  protected:
    /// `ready_line` stands in its log once it serves: the log is the only proof that it is ours that answers,
    /// and not another test's server on a port we both were given.
    server_process(std::string name, std::string ready_line, int stop_signal);

    virtual std::vector<std::string> command() const = 0;
    virtual process_options options() const { return {}; }
    /// Asked after the line was seen.
    virtual bool answers() const { return true; }
    virtual void choose_ports();

    /// The first start, with other ports when somebody took ours.
    void first_start();

  private:
    bool is_ready() const;
    [[nodiscard]] std::filesystem::path log_path() const { return folder_ / "log"; }

    std::string name_;
    std::string ready_line_;
    int stop_signal_;
    temp_dir folder_;
    std::uint16_t port_ = 0;
    std::uintmax_t log_start_ = 0; ///< Where the log of the present run begins.
    std::unique_ptr<child_process> child_;
};

/// Redis on one master: nothing is saved, noeviction. Later arguments win over ours.
class redis_server final : public server_process {
  public:
    explicit redis_server(std::vector<std::string> extra = {});
    ~redis_server() override;

    [[nodiscard]] std::string url() const; ///< redis://127.0.0.1:PORT
    [[nodiscard]] std::filesystem::path socket_path() const { return folder() / "redis.sock"; }

  private:
    std::vector<std::string> command() const override;
    bool answers() const override;
    std::vector<std::string> extra_;
};

/// One etcd member with its standard timing (a lease of less than 2 s is granted as 2 s), not syncing to
/// disk.
class etcd_server final : public server_process {
  public:
    explicit etcd_server(std::vector<std::string> extra = {});
    ~etcd_server() override;

    [[nodiscard]] std::string url() const;      ///< etcd://127.0.0.1:PORT
    [[nodiscard]] std::string endpoint() const; ///< 127.0.0.1:PORT, as etcdctl --endpoints takes it

  private:
    std::vector<std::string> command() const override;
    bool answers() const override;
    void choose_ports() override;
    std::vector<std::string> extra_;
    std::uint16_t peer_port_ = 0;
};

/// The etcd on this port of 127.0.0.1 says that it serves, which takes a leader.
[[nodiscard]] bool etcd_answers(std::uint16_t port);

/// PostgreSQL 15 with a new cluster; user and database `postgres`. Started by root it runs as the user
/// `postgres`.
class postgres_server final : public server_process {
  public:
    explicit postgres_server(int max_connections = 20);
    ~postgres_server() override;

    [[nodiscard]] std::string conninfo() const; ///< host=127.0.0.1 port=PORT user=postgres dbname=postgres

  private:
    std::vector<std::string> command() const override;
    process_options options() const override;
    int max_connections_;
};

} // namespace holdfast::testing
