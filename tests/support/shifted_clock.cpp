#include "support/shifted_clock.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace holdfast::testing {

shifted_clock::shifted_clock(std::string which) : which_(std::move(which)) {
    const auto failed = [] { throw std::system_error(errno, std::generic_category(), "the clock's file"); };
    const int fd = ::open((folder_ / "offset").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        failed();
    }
    const bool sized = ::ftruncate(fd, sizeof(std::int64_t)) == 0;
    void* const mapped =
        sized ? ::mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    ::close(fd);
    if (mapped == MAP_FAILED) {
        failed();
    }
    offset_ns_ = static_cast<std::atomic<std::int64_t>*>(mapped);
}

shifted_clock::~shifted_clock() {
    ::munmap(offset_ns_, sizeof(std::int64_t));
}

std::vector<std::pair<std::string, std::string>> shifted_clock::environment() const {
    return {{"LD_PRELOAD", HOLDFAST_CLOCK_SHIFT},
            {"HOLDFAST_CLOCK", which_},
            {"HOLDFAST_CLOCK_FILE", (folder_ / "offset").string()}};
}

} // namespace holdfast::testing
