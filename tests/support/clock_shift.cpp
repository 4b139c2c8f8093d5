// Loaded into a process by LD_PRELOAD: one of its clocks is wrong by what stands in a file, in nanoseconds,
// as eight bytes. The file is mapped, so that whoever writes to it makes the clock jump at once. The other
// clocks stay as they are, and so do sleeps and timeouts. HOLDFAST_CLOCK says which one: "monotonic",
// "boottime", or the wall clock.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

namespace {

constexpr std::int64_t in_second = 1'000'000'000;

std::atomic<std::int64_t>* offset_ns = nullptr; // Written before main, or by nobody.
clockid_t shifted[2] = {CLOCK_REALTIME, CLOCK_REALTIME_COARSE};

void choose_clock(const char* name) {
    if (name != nullptr && std::strcmp(name, "monotonic") == 0) {
        shifted[0] = CLOCK_MONOTONIC;
        shifted[1] = CLOCK_MONOTONIC_COARSE;
    } else if (name != nullptr && std::strcmp(name, "boottime") == 0) {
        shifted[0] = shifted[1] = CLOCK_BOOTTIME;
    }
}

__attribute__((constructor)) void find_offset() {
    choose_clock(std::getenv("HOLDFAST_CLOCK"));
    const char* const path = std::getenv("HOLDFAST_CLOCK_FILE");
    const int fd = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    void* const mapped = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    if (mapped != MAP_FAILED) {
        offset_ns = static_cast<std::atomic<std::int64_t>*>(mapped);
    }
}

/// The system call itself: asking the C library would end here again.
int read_clock(clockid_t which, timespec* out) {
    const long outcome = ::syscall(SYS_clock_gettime, which, out);
    if (outcome == 0 && (which == shifted[0] || which == shifted[1]) && offset_ns != nullptr) {
        const std::int64_t wrong = out->tv_sec * in_second + out->tv_nsec + offset_ns->load();
        out->tv_sec = wrong / in_second;
        out->tv_nsec = wrong % in_second;
    }
    return static_cast<int>(outcome);
}

} // namespace

extern "C" {

int clock_gettime(clockid_t which, timespec* out) noexcept {
    return read_clock(which, out);
}

int gettimeofday(timeval* out, void*) noexcept {
    timespec now{};
    const int outcome = read_clock(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return outcome;
}

time_t time(time_t* out) noexcept {
    timespec now{};
    read_clock(CLOCK_REALTIME, &now);
    if (out != nullptr) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}
}
