// What the rounds hold a lock for: processes that note when they last ran, all on one clock.
//
//   stamper first FILE                    notes when it began, and ends
//   stamper last FILE [ignore] [tree] [stay] [daemon]
//                                         notes again and again when it runs, until it is ended
//     ignore   TERM and HUP do nothing
//     tree     a child does the same, in FILE.2
//     stay     the parent of a daemon waits for its own end
//     daemon   goes into the background first: parent ended, session and group of its own
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace {

std::int64_t now_ns() {
    timespec at{};
    ::clock_gettime(CLOCK_MONOTONIC, &at);
    return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

/// Memory rather than writes: what a process did last is there also after it was killed.
std::int64_t* open_note(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void* memory = fd >= 0 && ::ftruncate(fd, sizeof(std::int64_t)) == 0
                       ? ::mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                       : MAP_FAILED;
    if (memory == MAP_FAILED) {
        std::_Exit(3);
    }
    return static_cast<std::int64_t*>(memory);
}

[[noreturn]] void stamp(const std::string& path) {
    std::atomic_ref<std::int64_t> note(*open_note(path));
    for (;;) {
        note.store(now_ns());
        ::usleep(500);
    }
}

} // namespace

int main(int argc, char** argv) {
    const std::int64_t began = now_ns();
    if (argc < 3) {
        return 2;
    }
    std::string path = argv[2];
    bool stays = false;
    // On a busy machine a daemon may be ended before its turn to run comes.
    std::atomic_ref<std::int64_t>(*open_note(path)).store(began);
    if (std::strcmp(argv[1], "first") == 0) {
        return 0;
    }
    for (int index = 3; index < argc; ++index) {
        const std::string mode = argv[index];
        if (mode == "ignore") {
            ::signal(SIGTERM, SIG_IGN);
            ::signal(SIGHUP, SIG_IGN);
        } else if (mode == "tree" && ::fork() == 0) {
            path += ".2";
            break;
        } else if (mode == "stay") {
            stays = true;
        } else if (mode == "daemon") {
            if (::fork() != 0) {
                while (stays) {
                    ::pause();
                }
                std::_Exit(0);
            }
            ::setsid();
            if (::fork() != 0) {
                std::_Exit(0);
            }
        }
    }
    stamp(path);
}
