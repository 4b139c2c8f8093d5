#include "identity.hpp"

#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>
#include <vector>

#include <pwd.h>
#include <sys/random.h>
#include <unistd.h>

#include "small_file.hpp"
#include "surroundings.hpp"

namespace holdfast::core {
namespace {

constexpr std::size_t max_text_bytes = 128;

std::string user_name() {
    const uid_t uid = geteuid();
    passwd entry{};
    passwd* found = nullptr;
    std::vector<char> buffer(16384);
    // The file first: a look-up through NSS opens sockets and libraries, for a name that only people read.
    if (const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/etc/passwd", "re"), &std::fclose);
        file) {
        while (fgetpwent_r(file.get(), &entry, buffer.data(), buffer.size(), &found) == 0) {
            if (found->pw_uid == uid) {
                return found->pw_name;
            }
        }
    }
    if (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
        return found->pw_name;
    }
    return std::to_string(uid);
}

std::string host_name() {
    std::array<char, 256> buffer{};
    if (gethostname(buffer.data(), buffer.size() - 1) != 0) {
        return "unknown";
    }
    return buffer.data();
}

std::string program_name() {
    return first_line(read_small_file("/proc/self/comm", max_text_bytes).value_or(""));
}

} // namespace

holder_info describe_process(const std::string& command, const std::string& why) {
    holder_info who;
    who.user = user_name();
    who.host = host_name();
    who.pid = getpid();
    who.command = (command.empty() ? program_name() : command).substr(0, max_text_bytes);
    who.why = why.substr(0, max_text_bytes);
    return who;
}

std::array<std::uint8_t, 16> random_session_id() {
    std::array<std::uint8_t, 16> id{};
    if (surroundings* const sim = simulated()) {
        sim->random(id);
        return id;
    }
    ssize_t got = -1;
    do {
        got = getrandom(id.data(), id.size(), 0);
    } while (got < 0 && errno == EINTR);
    if (got != static_cast<ssize_t>(id.size())) {
        throw std::system_error(errno, std::generic_category(), "getrandom");
    }
    return id;
}

} // namespace holdfast::core
