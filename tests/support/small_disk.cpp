#include "support/small_disk.hpp"

#include <fstream>
#include <stdexcept>
#include <string>

#include <unistd.h>

namespace holdfast::testing {

small_disk::small_disk(unsigned mebibytes) {
    std::vector<std::string> argv{"unshare", "--mount"};
    if (::geteuid() != 0) {
        argv.insert(argv.end(), {"--user", "--map-root-user"});
    }
    argv.insert(argv.end(), {"sh", "-c",
                             "mount -t tmpfs -o size=" + std::to_string(mebibytes) +
                                 "m tmpfs /mnt && echo ready && exec cat"});
    process_options how;
    how.input_pipe = true;
    how.out = redirect::pipe();
    keeper_ = std::make_unique<child_process>(argv, how);
    if (keeper_->read_line(std::chrono::seconds(5)) != "ready") {
        throw std::runtime_error("a small disk needs the right to mount a tmpfs");
    }
}

std::filesystem::path small_disk::path() const {
    return "/proc/" + std::to_string(keeper_->pid()) + "/root/mnt";
}

void small_disk::fill() const {
    std::ofstream filler(path() / "filler", std::ios::app);
    const std::string block(1U << 16U, 'x');
    while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
}

void small_disk::make_room() const {
    std::filesystem::remove(path() / "filler");
}

} // namespace holdfast::testing
