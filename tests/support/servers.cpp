#include "support/servers.hpp"

#include "support/ports.hpp"
#include "support/wait_for.hpp"

#include <array>
#include <csignal>
#include <fstream>
#include <iterator>
#include <netinet/in.h>
#include <pwd.h>
#include <stdexcept>
#include <string_view>
#include <sys/socket.h>
#include <sys/time.h>
#include <system_error>
#include <unistd.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto start_bound = 30s; // A sanitizer build with other tests beside it on two cores is slow.
constexpr auto stop_bound = 10s;

std::string text_from(const std::filesystem::path& path, std::uintmax_t offset) {
    std::ifstream file(path, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    return {std::istreambuf_iterator<char>(file), {}};
}

std::uintmax_t size_of(const std::filesystem::path& path) {
    std::error_code missing;
    const auto size = std::filesystem::file_size(path, missing);
    return missing ? 0 : size;
}

/// Sends a request to 127.0.0.1 and returns the beginning of the answer, empty where there is none within a
/// second.
std::string ask(std::uint16_t port, std::string_view request) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return {};
    }
    const timeval second{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    std::string answer;
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
        ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
        std::array<char, 1024> buffer{};
        ssize_t count = 0;
        while (answer.size() < 4096 && (count = ::recv(fd, buffer.data(), buffer.size(), 0)) > 0) {
            answer.append(buffer.data(), static_cast<std::size_t>(count));
            if (answer.find("\r\n\r\n") == std::string::npos && answer.front() != 'H') {
                break; // Not HTTP: one line is the whole answer.
            }
        }
    }
    ::close(fd);
    return answer;
}

const passwd& postgres_user() {
    const passwd* user = ::getpwnam("postgres"); // NOLINT(concurrency-mt-unsafe): one thread starts servers.
    if (user == nullptr) {
        throw std::runtime_error("PostgreSQL refuses to run as root and there is no user 'postgres'");
    }
    return *user;
}

const std::filesystem::path postgres_programs = "/usr/lib/postgresql/15/bin";

} // namespace

server_process::server_process(std::string name, std::string ready_line, int stop_signal)
    : name_(std::move(name)), ready_line_(std::move(ready_line)), stop_signal_(stop_signal),
      folder_("holdfast-" + name_) {}

void server_process::choose_ports() {
    port_ = free_port();
}

bool server_process::is_ready() const {
    return text_from(log_path(), log_start_).find(ready_line_) != std::string::npos && answers();
}

void server_process::start() {
    if (!running()) {
        launch();
        await();
    }
}

void server_process::launch() {
    if (running()) {
        return;
    }
    auto how = options();
    how.out = redirect::file(log_path());
    how.err = redirect::file(log_path());
    log_start_ = size_of(log_path());
    child_ = std::make_unique<child_process>(command(), how);
}

void server_process::await() {
    const bool settled = wait_for([&] { return is_ready() || !running(); }, start_bound);
    if (!settled || !running()) {
        const bool died = !running();
        child_.reset();
        throw std::runtime_error(name_ + (died ? " ended at once" : " does not answer") +
                                 ". Its log ends with:\n" + log_tail());
    }
}

void server_process::first_start() {
    constexpr int attempts = 4;
    for (int attempt = 1;; ++attempt) {
        choose_ports();
        try {
            start();
            return;
        } catch (const std::runtime_error& failure) {
            const bool taken =
                std::string_view(failure.what()).find("ddress already in use") != std::string_view::npos;
            if (!taken || attempt == attempts) {
                throw;
            }
        }
    }
}

void server_process::stop() {
    if (!child_) {
        return;
    }
    child_->signal(stop_signal_);
    child_->signal(SIGCONT); // One that a test has stopped could not hear us.
    static_cast<void>(child_->wait(stop_bound));
    child_.reset();
}

void server_process::kill() {
    child_.reset();
}

void server_process::restart() {
    stop();
    start();
}

void server_process::signal(int number) {
    if (!child_ || !child_->signal(number)) {
        throw std::runtime_error(name_ + " does not run");
    }
}

void server_process::freeze() {
    signal(SIGSTOP);
    const auto stands_still = [&] {
        const std::string state = text_from("/proc/" + std::to_string(pid()) + "/stat", 0);
        return state.find(") T ") != std::string::npos;
    };
    if (!wait_for(stands_still, stop_bound)) {
        throw std::runtime_error(name_ + " cannot be stopped");
    }
}

bool server_process::running() {
    return child_ && child_->running();
}

pid_t server_process::pid() const {
    return child_ ? child_->pid() : -1;
}

std::string server_process::log_tail() const {
    constexpr std::uintmax_t length = 3000;
    const auto size = size_of(log_path());
    return text_from(log_path(), size > length ? size - length : 0);
}

// Redis

redis_server::redis_server(std::vector<std::string> extra)
    : server_process("redis", "Ready to accept connections", SIGTERM), extra_(std::move(extra)) {
    first_start();
}

redis_server::~redis_server() {
    stop();
}

std::string redis_server::url() const {
    return "redis://127.0.0.1:" + std::to_string(port());
}

std::vector<std::string> redis_server::command() const {
    std::vector<std::string> argv{"redis-server",
                                  "--port",
                                  std::to_string(port()),
                                  "--bind",
                                  "127.0.0.1",
                                  "--protected-mode",
                                  "no",
                                  "--unixsocket",
                                  socket_path().string(),
                                  "--dir",
                                  folder().string(),
                                  "--save",
                                  "",
                                  "--appendonly",
                                  "no",
                                  "--maxmemory-policy",
                                  "noeviction",
                                  "--daemonize",
                                  "no"};
    argv.insert(argv.end(), extra_.begin(), extra_.end());
    return argv;
}

bool redis_server::answers() const {
    // Any reply will do: where a test asks for a password this one is an error.
    return !ask(port(), "PING\r\n").empty();
}

// etcd

etcd_server::etcd_server(std::vector<std::string> extra)
    : server_process("etcd", "ready to serve client requests", SIGTERM), extra_(std::move(extra)) {
    first_start();
}

etcd_server::~etcd_server() {
    stop();
}

std::string etcd_server::url() const {
    return "etcd://" + endpoint();
}

std::string etcd_server::endpoint() const {
    return "127.0.0.1:" + std::to_string(port());
}

void etcd_server::choose_ports() {
    server_process::choose_ports();
    do {
        peer_port_ = free_port();
    } while (peer_port_ == port());
}

std::vector<std::string> etcd_server::command() const {
    const auto client = "http://" + endpoint();
    const auto peer = "http://127.0.0.1:" + std::to_string(peer_port_);
    std::vector<std::string> argv{"etcd",
                                  "--name",
                                  "one",
                                  "--data-dir",
                                  (folder() / "data").string(),
                                  "--listen-client-urls",
                                  client,
                                  "--advertise-client-urls",
                                  client,
                                  "--listen-peer-urls",
                                  peer,
                                  "--initial-advertise-peer-urls",
                                  peer,
                                  "--initial-cluster",
                                  "one=" + peer,
                                  "--unsafe-no-fsync"};
    argv.insert(argv.end(), extra_.begin(), extra_.end());
    return argv;
}

bool etcd_answers(std::uint16_t port) {
    const auto answer = ask(port, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    return answer.find("\"health\":\"true\"") != std::string::npos;
}

bool etcd_server::answers() const {
    return etcd_answers(port());
}

// PostgreSQL

postgres_server::postgres_server(int max_connections)
    : server_process("postgres", "database system is ready to accept connections", SIGINT),
      max_connections_(max_connections) {
    if (::geteuid() == 0 && ::chown(folder().c_str(), postgres_user().pw_uid, postgres_user().pw_gid) != 0) {
        throw std::system_error(errno, std::generic_category(), "chown " + folder().string());
    }
    const auto made =
        run_process({(postgres_programs / "initdb").string(), "--pgdata", (folder() / "data").string(),
                     "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"},
                    60s, options());
    if (!made.status.ok()) {
        throw std::runtime_error("initdb failed:\n" + made.out + made.err);
    }
    first_start();
}

postgres_server::~postgres_server() {
    stop();
}

process_options postgres_server::options() const {
    process_options result;
    result.cwd = folder();
    if (::geteuid() == 0) {
        result.uid = postgres_user().pw_uid;
        result.gid = postgres_user().pw_gid;
    }
    return result;
}

std::vector<std::string> postgres_server::command() const {
    const auto set = [](const std::string& name, const std::string& value) {
        return "--" + name + "=" + value;
    };
    return {(postgres_programs / "postgres").string(),
            "-D",
            (folder() / "data").string(),
            "-p",
            std::to_string(port()),
            set("listen_addresses", "127.0.0.1"),
            set("unix_socket_directories", folder().string()),
            set("max_connections", std::to_string(max_connections_)),
            set("superuser_reserved_connections", "0"),
            set("max_wal_senders", "0"),
            set("fsync", "off"),
            set("shared_buffers", "16MB")};
}

std::string postgres_server::conninfo() const {
    return "host=127.0.0.1 port=" + std::to_string(port()) + " user=postgres dbname=postgres";
}

} // namespace holdfast::testing
