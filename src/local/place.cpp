#include "place.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <string>

#include <sys/inotify.h>
#include <unistd.h>

#include "line.hpp"

namespace holdfast::local {
namespace {

std::atomic<bool> inotify_missing{false};

/// What a deletion changes is the number of names, an attribute; to cut a file short modifies it. What is
/// written through a mapping does not.
constexpr std::uint32_t of_file = IN_ATTRIB | IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF;
constexpr std::uint32_t of_folder = IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR;

/// Nobody can find the file any more. Whoever still has it is told now, whether he watches it or not.
void end_all_sessions(const segment& in) noexcept {
    const std::uint32_t used = std::min(in.data().head.slot_high.load(), slot_count);
    bool was_first = false;
    for (std::uint32_t i = 0; i < used; ++i) {
        was_first = expire(in, i) || was_first;
    }
    if (!was_first) {
        return;
    }
    // Who waits on a thread of his own sleeps there. A mailbox has been rung with each session.
    for (cell& each : in.data().cells) {
        if ((each.futex.load() & cell::asleep) != 0) {
            each.futex.fetch_add(cell::poke);
            futex_wake_all(each.futex);
        }
    }
}

} // namespace

void pretend_no_inotify(bool pretend) noexcept {
    inotify_missing.store(pretend);
}

bool give_up_if_gone(engine& on) noexcept {
    const segment& in = on.memory();
    switch (in.where()) {
    case segment::fate::in_place:
        return false;
    case segment::fate::moved: // From where we look. Others may have come to it by another way.
        break;
    case segment::fate::deleted:
        end_all_sessions(in);
        break;
    case segment::fate::cut_short:
        if (!in.covered()) {
            in.cover();
        }
        break;
    }
    on.look_up();
    return true;
}

std::unique_ptr<place_hints> place_hints::make(std::shared_ptr<seat> of) {
    const int fd = inotify_missing.load() ? -1 : inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0) {
        return nullptr;
    }
    const std::string& file = of->memory().file();
    const std::string folder = file.substr(0, file.rfind('/') + 1);
    // By name: should that be another file by now, or none, the first heed() sees it. What cannot be watched
    // otherwise is left to the next renewal.
    static_cast<void>(inotify_add_watch(fd, file.c_str(), of_file));
    static_cast<void>(inotify_add_watch(fd, folder.c_str(), of_folder));
    return std::unique_ptr<place_hints>(new place_hints(std::move(of), fd));
}

place_hints::~place_hints() {
    close(fd_);
}

bool place_hints::heed() noexcept {
    std::array<char, 4096> what; // The last state counts, not what led to it.
    while (read(fd_, what.data(), what.size()) > 0) {
    }
    return give_up_if_gone(seat_->engine());
}

} // namespace holdfast::local
