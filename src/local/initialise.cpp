#include "initialise.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <mutex>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/small_file.hpp"

#include "folder.hpp"
#include "segment.hpp"

namespace holdfast::local {
namespace {

constexpr auto segment_bytes = static_cast<off_t>(sizeof(segment_layout));

/// Tokens above this are not ours: realtime in nanoseconds needs 61 bits for the next 15 years, and a
/// sequence adds 52.
constexpr std::uint64_t absurd_token = std::uint64_t{1} << 62;

/// What may have been granted after the state that survived a crash of the machine was written to disk.
constexpr std::uint64_t unsynced_ns = 120'000'000'000;

error damaged(const std::string& file, const std::string& how) {
    return {errc::unavailable, file + " is damaged: " + how +
                                   "; stop every process that uses it, delete it, and check who wrote to it"};
}

enum class condition {
    usable,
    fresh,   ///< New, or its making was interrupted, or made before the last boot.
    crowded, ///< Usable, but its table of names had better be emptied.
};

/// The magic is written last, so without it nothing was ever granted here: the file is new, or whoever made
/// it was killed on the way, with any of the other fields written.
bool is_unmarked(const header& head) noexcept {
    return head.magic.load() == 0 && head.ready.load() == 0;
}

/// Looks at the header of a file of this size. Changes nothing.
result<condition> judge(const header& head, off_t bytes, const std::string& file) {
    if (is_unmarked(head)) {
        return condition::fresh;
    }
    if (head.magic.load() != segment_magic) {
        return damaged(file, "it does not begin as a segment does");
    }
    if (head.layout.load() != layout_version) {
        return error(
            errc::config,
            file + " has layout version " + std::to_string(head.layout.load()) +
                ", this program knows only version " + std::to_string(layout_version) +
                "; let all programs use one version of Holdfast, or give this one a folder of its own");
    }
    if (head.bytes.load() != sizeof(segment_layout)) {
        return damaged(file, "its header speaks of another size");
    }
    if (head.token_floor.load() >= absurd_token) {
        return damaged(file, "its token floor is absurd");
    }
    if (head.ready.load() == 0) {
        return condition::fresh;
    }
    if (bytes != segment_bytes) {
        return damaged(file, "it has " + std::to_string(bytes) + " bytes and should have " +
                                 std::to_string(segment_bytes));
    }
    const auto boot = boot_id();
    if (head.boot[0].load() != boot[0] || head.boot[1].load() != boot[1]) {
        return condition::fresh;
    }
    return head.record_high.load() > record_count / 2 ? condition::crowded : condition::usable;
}

/// Above every token that was granted from this segment.
std::uint64_t token_floor(const segment_layout& old) noexcept {
    std::uint64_t floor = old.head.token_floor.load();
    const std::uint32_t used = std::min(old.head.record_high.load(), record_count);
    for (std::uint32_t i = 0; i < used; ++i) {
        const record& each = old.records[i];
        const std::uint64_t word = each.word.load();
        std::uint64_t last = sequence_of(word);
        if (tag_of(word) == tag::line) {
            // Only the counter's low bits are in the word; the block may not have reached the disk. Rounded
            // up.
            last = std::uint64_t{1} << version_bits;
        }
        const std::uint64_t base = each.base.load();
        if (base < absurd_token) {
            floor = std::max(floor, base + last);
        }
    }
    return floor;
}

/// Every page gets its place on the disk, also those of a file that is shorter yet. What is merely promised
/// must not be written to through a mapping: on a full disk that is a SIGBUS.
bool take_room(int fd) noexcept {
    int failed = EINTR;
    while (failed == EINTR) {
        failed = posix_fallocate(fd, 0, segment_bytes);
    }
    errno = failed;
    return failed == 0;
}

error no_room(const std::string& file) {
    return {errc::config, "making room for " + file + " (" + std::to_string(segment_bytes >> 20) +
                              " MB) failed: " + std::error_code(errno, std::generic_category()).message() +
                              "; free some space, or name a folder elsewhere as local:/folder"};
}

/// Everything but the header becomes zero, and takes its place on the disk.
bool clear_body(int fd, void* base) noexcept {
    constexpr off_t from = sizeof(header);
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, segment_bytes - from) != 0) {
        std::memset(static_cast<char*>(base) + from, 0, static_cast<std::size_t>(segment_bytes - from));
    }
    return take_room(fd);
}

/// We are alone.
result<void> initialise(int fd, void* base, off_t old_bytes, const std::string& file) {
    auto& data = *static_cast<segment_layout*>(base);
    header& head = data.head;
    const bool complete = !is_unmarked(head) && old_bytes == segment_bytes;
    std::uint64_t floor = complete ? token_floor(data) : head.token_floor.load();
    if (floor != 0) {
        floor += unsynced_ns;
    }
    if (floor >= absurd_token) {
        return damaged(file, "its token floor is absurd");
    }
    head.token_floor.store(floor);
    head.ready.store(0);
    head.layout.store(layout_version);
    head.bytes.store(sizeof(segment_layout));
    head.magic.store(segment_magic); // From here on a crash leaves a segment that is known to be unfinished.
    if (!clear_body(fd, base)) {
        return no_room(file);
    }
    head.slot_high.store(0);
    head.record_high.store(0);
    const auto boot = boot_id();
    head.boot[0].store(boot[0]);
    head.boot[1].store(boot[1]);
    head.ready.store(1);
    return {};
}

/// The header of a file that may be shorter than it should: read, not mapped.
bool read_header(int fd, header& head, off_t& bytes) noexcept {
    struct stat seen {};
    if (fstat(fd, &seen) != 0) {
        return false;
    }
    bytes = seen.st_size;
    std::memset(static_cast<void*>(&head), 0, sizeof head);
    return pread(fd, static_cast<void*>(&head), sizeof head, 0) >= 0;
}

std::mutex pretended_guard;
std::optional<std::array<std::uint64_t, 2>> pretended_boot;

} // namespace

std::array<std::uint64_t, 2> boot_id() {
    {
        const std::lock_guard locked(pretended_guard);
        if (pretended_boot) {
            return *pretended_boot;
        }
    }
    return boot_id_of_kernel();
}

std::array<std::uint64_t, 2> boot_id_of_kernel() {
    constexpr std::size_t enough = 128;
    const std::string text =
        core::first_line(core::read_small_file("/proc/sys/kernel/random/boot_id", enough).value_or(""));
    // Two FNV-1a sums over the text: only equality matters, and a machine without /proc still gets a
    // constant.
    std::array<std::uint64_t, 2> id{14695981039346656037U, 1099511628211U};
    for (const char each : text) {
        id[0] = (id[0] ^ static_cast<unsigned char>(each)) * 1099511628211U;
        id[1] = (id[1] + static_cast<unsigned char>(each)) * 6364136223846793005U + 1442695040888963407U;
    }
    return id;
}

void pretend_boot_id(std::array<std::uint64_t, 2> id) {
    const std::lock_guard locked(pretended_guard);
    pretended_boot = id;
}

result<std::unique_ptr<mapping>> prepare(int fd, const std::string& file, bool catches) {
    const bool alone = lock_byte(fd, presence_byte, true);
    if (!alone && !lock_byte(fd, presence_byte, false)) {
        return std::unique_ptr<mapping>();
    }
    alignas(4096) header head{};
    off_t bytes = 0;
    if (!read_header(fd, head, bytes)) {
        return error(errc::config, "reading " + file + " failed: " +
                                       std::error_code(errno, std::generic_category()).message());
    }
    const auto seen = judge(head, bytes, file);
    if (!seen) {
        return seen.error();
    }
    const bool must = *seen == condition::fresh;
    if (must && !alone) {
        unlock_byte(fd, presence_byte); // Whoever makes it must be alone; perhaps that becomes us.
        return std::unique_ptr<mapping>();
    }
    if (must && !take_room(fd)) {
        error why = no_room(file);
        if (bytes < segment_bytes) {
            // What it got before the disk was full is given back; nobody minds if that fails.
            [[maybe_unused]] const int failed = ftruncate(fd, bytes);
        }
        return why;
    }
    auto memory = std::make_unique<mapping>(fd, sizeof(segment_layout), catches);
    if (memory->base() == nullptr) {
        return error(errc::config, "mapping " + file + " failed: " +
                                       std::error_code(errno, std::generic_category()).message());
    }
    if (alone && *seen != condition::usable) {
        if (auto made = initialise(fd, memory->base(), bytes, file); !made) {
            return made.error();
        }
    }
    if (alone && !lock_byte(fd, presence_byte, false)) { // From exclusive to shared, without a gap.
        return std::unique_ptr<mapping>();
    }
    return memory;
}

} // namespace holdfast::local
