#include "segment.hpp"

#include <cerrno>
#include <mutex>
#include <utility>
#include <vector>

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::local {

namespace {

/// Every segment of this process. A forked child would share its locks on the file (they belong to the open
/// file, not to a process) and keep a dead parent's slots from being used again: it closes what it inherits.
struct open_segments {
    std::mutex guard;
    std::vector<segment*> all;
};
open_segments& opened() {
    static auto* const segments = new open_segments; // Never destroyed: a child may be forked at any time.
    return *segments;
}

} // namespace

segment::segment(int fd, std::unique_ptr<mapping> memory, std::string file)
    : fd_(fd), memory_(std::move(memory)), data_(static_cast<segment_layout*>(memory_->base())),
      file_(std::move(file)) {
    static const int registered =
        pthread_atfork([] { opened().guard.lock(); }, [] { opened().guard.unlock(); },
                       [] {
                           for (segment* each : opened().all) {
                               each->leave_to_parent();
                           }
                           opened().guard.unlock();
                       });
    static_cast<void>(registered); // Without it a child keeps slots until it ends or runs another program.
    const std::lock_guard locked(opened().guard);
    opened().all.push_back(this);
}

void segment::leave_to_parent() noexcept {
    cover(); // The mapping holds on to the open file as the descriptor does.
    close(std::exchange(fd_, -1));
}

segment::~segment() {
    {
        const std::lock_guard locked(opened().guard);
        std::erase(opened().all, this);
    }
    if (fd_ >= 0) {
        close(fd_);
    }
}

[[gnu::hot]] block segment::block_at(std::uint32_t index) const noexcept {
    for (std::size_t kind = 0; kind < block_classes.size(); ++kind) {
        const block_class& of = block_classes[kind];
        if (index >= of.first + of.count) {
            continue;
        }
        const std::size_t at = index - of.first;
        switch (kind) {
        case 0:
            return {data_->small_blocks[at].words.data(), of.claims};
        case 1:
            return {data_->proposal_blocks[at].words.data(), of.claims};
        case 2:
            return {data_->medium_blocks[at].words.data(), of.claims};
        case 3:
            return {data_->large_blocks[at].words.data(), of.claims};
        default:
            return {data_->huge_blocks[at].words.data(), of.claims};
        }
    }
    return {};
}

bool segment::is_void(owner_id owner) const noexcept {
    if (owner == 0) {
        return true;
    }
    const std::uint64_t session = data_->slots[owner_slot(owner)].session.load(std::memory_order_acquire);
    return generation_of(session) != owner_generation(owner) || state_of(session) == session_state::free;
}

segment::fate segment::where() const noexcept {
    struct stat ours {};
    if (covered() || fstat(fd_, &ours) != 0 || ours.st_size < static_cast<off_t>(sizeof(segment_layout))) {
        return fate::cut_short;
    }
    if (ours.st_nlink == 0) {
        return fate::deleted;
    }
    // Moved away it keeps its one name, but whoever comes now makes another one under the name that we use.
    struct stat named {};
    if (lstat(file_.c_str(), &named) != 0) {
        // We may have lost the right to look: that moves nothing.
        return errno == ENOENT || errno == ENOTDIR ? fate::moved : fate::in_place;
    }
    return named.st_dev == ours.st_dev && named.st_ino == ours.st_ino ? fate::in_place : fate::moved;
}

error damaged(const segment& in) {
    return {errc::unavailable,
            in.file() + " is damaged; stop every process that uses it, delete it, and check who wrote to it"};
}

error no_room(const segment& in, const std::string& what, const std::string& remedy) {
    return {errc::unavailable, in.file() + " has no " + what + " left; " + remedy};
}

} // namespace holdfast::local
