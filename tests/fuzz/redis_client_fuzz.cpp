// The whole client against a server that answers what it likes: to the greeting, to the questions about the
// topology, to every script, to the listing, and with messages that nobody asked for. Nothing may crash, leak
// or hang, and each call ends within its time.
//
// Half of the input answers the first connection (commands), half the second (messages).
#include <array>
#include <chrono>
#include <cstdlib>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include <fuzzer/FuzzedDataProvider.h>

#include <holdfast/holdfast.hpp>

namespace {

using namespace std::chrono_literals;

void require(bool holds) {
    if (!holds) {
        std::abort();
    }
}

std::string bulk(const std::string& text) {
    return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

/// What a server says on one connection, as long as there is input; then it hangs up.
class liar {
  public:
    liar(int fd, std::vector<std::uint8_t> input)
        : fd_(fd), input_(std::move(input)), from_(input_.data(), input_.size()) {}

    void talk() {
        std::array<char, 4096> bytes{};
        for (ssize_t got = 0;
             from_.remaining_bytes() > 0 && (got = ::read(fd_, bytes.data(), bytes.size())) > 0;) {
            std::string answers;
            // Commands end with a line end; one of ours holds a text of several lines only in a script.
            for (const std::string_view name : commands({bytes.data(), static_cast<std::size_t>(got)})) {
                answers += answer(name);
            }
            if (::send(fd_, answers.data(), answers.size(), MSG_NOSIGNAL) < 0) {
                break;
            }
        }
        ::shutdown(fd_, SHUT_RDWR);
        ::close(fd_);
    }

  private:
    /// The first word of each command among the bytes: "*3\r\n$3\r\nSET\r\n...".
    static std::vector<std::string_view> commands(std::string_view bytes) {
        std::vector<std::string_view> found;
        for (std::size_t at = 0; (at = bytes.find('*', at)) != std::string_view::npos; ++at) {
            const std::size_t size = bytes.find("\r\n$", at);
            const std::size_t word = size == std::string_view::npos ? size : bytes.find("\r\n", size + 3);
            const std::size_t end = word == std::string_view::npos ? word : bytes.find("\r\n", word + 2);
            if (end != std::string_view::npos && size - at <= 3 && word - size <= 6) {
                found.push_back(bytes.substr(word + 2, end - word - 2));
            }
        }
        return found;
    }

    std::string answer(std::string_view to) {
        const unsigned mood = from_.ConsumeIntegral<std::uint8_t>();
        if (mood < 0xc0) { // As a server would, so that the conversation goes on.
            if (to == "CLIENT" || to == "AUTH" || to == "SELECT" || to == "SET") {
                return "+OK\r\n";
            }
            if (to == "TIME") {
                return "*2\r\n" + bulk(std::to_string(from_.ConsumeIntegral<std::int64_t>())) + bulk("5");
            }
            if (to == "INFO") {
                return bulk(
                    "redis_version:7.0.15\r\nredis_mode:standalone\r\nrole:master\r\nconnected_slaves:0\r\n");
            }
            if (to == "CONFIG") {
                return "*2\r\n" + bulk("maxmemory-policy") + bulk("noeviction");
            }
            if (to == "SCAN") {
                return "*2\r\n" + bulk(mood < 0xa0 ? "0" : "7") + "*2\r\n" + bulk("holdfast:{a}:a:l") +
                       bulk(from_.ConsumeRandomLengthString(40));
            }
            if (to == "SUBSCRIBE") {
                return "*3\r\n" + bulk("subscribe") + bulk(from_.ConsumeRandomLengthString(60)) + ":1\r\n";
            }
            if (to.starts_with("EVAL")) {
                return ":" + std::to_string(from_.ConsumeIntegralInRange<int>(-20, 20)) + "\r\n";
            }
        }
        return anything(0);
    }

    std::string anything(int depth) {
        switch (from_.ConsumeIntegralInRange<int>(0, 11)) {
        case 0:
            return ":" + std::to_string(from_.ConsumeIntegral<std::int64_t>()) + "\r\n";
        case 1:
            return "$-1\r\n";
        case 2:
            return "-NOSCRIPT No matching script\r\n";
        case 3:
            return "-" + line() + "\r\n";
        case 4:
            return "+" + line() + "\r\n";
        case 5:
            return bulk("holdfast " + line());
        case 6:
            return bulk("0123456789abcdef0123456789abcdef.1 " + line());
        case 7:
            return from_.ConsumeRandomLengthString(64);
        case 8:
            return "*-1\r\n";
        case 9:
            return "*3\r\n" + bulk("message") + bulk("holdfast:x") + bulk(line());
        case 10:
            return bulk(R"({"user":)" + line() + "}");
        default:
            break;
        }
        const int count = from_.ConsumeIntegralInRange<int>(0, 8);
        std::string made = "*" + std::to_string(count) + "\r\n";
        for (int i = 0; i < count; ++i) {
            made += depth < 4 ? anything(depth + 1) : ":1\r\n";
        }
        return made;
    }

    std::string line() { return from_.ConsumeRandomLengthString(40); }

    const int fd_;
    const std::vector<std::uint8_t> input_;
    FuzzedDataProvider from_;
};

/// A listening Unix socket whose name nobody else has.
class place {
  public:
    place() : path_("/tmp/holdfast-fuzz." + std::to_string(getpid())) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path_.copy(address.sun_path, sizeof address.sun_path - 1);
        ::unlink(path_.c_str());
        fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        require(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        require(::listen(fd_, 16) == 0);
    }
    ~place() {
        ::shutdown(fd_, SHUT_RDWR);
        ::close(fd_);
        ::unlink(path_.c_str());
    }
    place(const place&) = delete;
    place& operator=(const place&) = delete;

    const std::string& path() const { return path_; }
    int next() const { return ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC); }
    void end() const { ::shutdown(fd_, SHUT_RDWR); }

  private:
    std::string path_;
    int fd_ = -1;
};

void use(const std::string& url) {
    using namespace holdfast;
    const auto locks = try_connect(url, {.ttl = 1s, .op_timeout = 10ms, .release_timeout = 5ms});
    if (!locks) {
        require(locks.error().code() != errc::busy);
        return;
    }
    for (int turn = 0; turn < 2; ++turn) {
        const auto held =
            turn == 0 ? locks->mutex("a").try_acquire() : locks->mutex("a").try_acquire_for(2ms);
        if (held) {
            require(held->token().value() != 0);
        }
    }
    static_cast<void>(locks->show("a"));
    static_cast<void>(locks->list());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const place here;
    const std::size_t half = size / 2;
    std::thread server([&] {
        std::vector<std::thread> talks;
        for (int fd = 0; (fd = here.next()) >= 0;) {
            std::vector<std::uint8_t> input;
            if (talks.empty()) {
                input.assign(data, data + half);
            } else if (talks.size() == 1) {
                input.assign(data + half, data + size);
            }
            talks.emplace_back([fd, said = std::move(input)] { liar(fd, said).talk(); });
        }
        for (std::thread& each : talks) {
            each.join();
        }
    });
    const auto began = std::chrono::steady_clock::now();
    use("unix://" + here.path());
    require(std::chrono::steady_clock::now() - began < 5s);
    here.end();
    server.join();
    return 0;
}
