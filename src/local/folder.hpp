// Finding, making and checking the segment file. Everything here happens once per store, before any thread of
// ours.
//
// Rules, each for a reason:
//  * local: means /var/tmp/holdfast-<euid>/, ours alone (0700, our own), never taken from the environment:
//  cron has none.
//  * local:/folder: the folder's mode decides who shares. Not writable by others: the file is private (0600),
//  and ours or
//    the folder's owner's. Writable by a group: that group shares it (0660). Writable by everybody: refused,
//    since anybody could put a file of his own there.
//  * Network and FUSE file systems are refused: a mapping there is not shared with the other machines.
//  * The file is never unlinked or replaced by us. Symbolic links are not followed.
//  * The file gets its name after its owner and mode, so that who is killed on the way leaves nothing that
//    others may not open, and nobody meets a file that is not ready to be shared.
//  * Whoever has the segment open holds a shared OFD lock on its presence byte; whoever is alone (an
//  exclusive lock) may
//    (re)initialise it in place: when it is new, when the machine was rebooted, or when the table of names is
//    more than half full. Crashing on the way leaves it not ready, and the next one starts again.
#pragma once

#include <memory>
#include <string>

#include <holdfast/store.hpp>

#include "segment.hpp"

namespace holdfast::local {

/// The file's name within its folder.
inline constexpr const char* segment_file = "holdfast.segment";

/// Byte ranges of the file that are OFD-locked; far beyond its end, they lock no data.
inline constexpr std::int64_t presence_byte = std::int64_t{1} << 40;
constexpr std::int64_t slot_byte(std::uint32_t slot) noexcept {
    return presence_byte + 1 + slot;
}

/// Locks one byte without waiting. False when somebody else has it.
bool lock_byte(int fd, std::int64_t at, bool exclusive) noexcept;
void unlock_byte(int fd, std::int64_t at) noexcept;

/// Where local: with this path keeps its segment; empty: the default folder of this user.
std::string folder_for(const std::string& path);

/// Opens, checks and, where needed, initialises the segment. Blocks at most until give_up (CLOCK_MONOTONIC).
/// Errors: config, unauthorized (no permission), unavailable (somebody else has been initialising it all the
/// time). catches: see mapping. Every message names the file or folder and a remedy.
result<std::shared_ptr<segment>> open_segment(const std::string& path, instant give_up, bool catches = true);

/// For tests: behave as if the folder's file system could not make a file without a name.
void pretend_no_tmpfile(bool pretend) noexcept;

/// For tests: take every folder for one on a file system of this magic number; 0: as it is.
void pretend_file_system(std::uint32_t magic) noexcept;

/// This boot's id, as 128 bits. Tests replace it to see a reboot.
std::array<std::uint64_t, 2> boot_id();
std::array<std::uint64_t, 2> boot_id_of_kernel();
void pretend_boot_id(std::array<std::uint64_t, 2> id);

} // namespace holdfast::local
