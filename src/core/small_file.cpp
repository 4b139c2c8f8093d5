#include "small_file.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace holdfast::core {

std::optional<std::string> read_small_file(const char* path, std::size_t at_most) {
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return std::nullopt;
    }
    std::string text(at_most, '\0');
    std::size_t size = 0;
    ssize_t got = 1;
    int failed = 0;
    while (got > 0 && size < at_most) {
        got = ::read(fd, text.data() + size, at_most - size);
        if (got > 0) {
            size += static_cast<std::size_t>(got);
        } else if (got < 0 && errno == EINTR) {
            got = 1;
        } else if (got < 0) {
            failed = errno;
        }
    }
    ::close(fd);
    if (failed != 0) {
        errno = failed;
        return std::nullopt;
    }
    text.resize(size);
    return text;
}

std::string first_line(std::string text) {
    text.resize(std::min(text.find('\n'), text.size()));
    return text;
}

} // namespace holdfast::core
