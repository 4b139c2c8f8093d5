#include "diagnose.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <thread>

#include <linux/futex.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "folder.hpp"
#include "futex.hpp"
#include "life.hpp"

namespace holdfast::local {
namespace {

using level = finding::severity;

std::string octal(mode_t mode) {
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "%04o", static_cast<unsigned>(mode & 07777));
    return text.data();
}

finding check_sharing(const std::string& folder, const segment& in) {
    struct stat of_folder {};
    struct stat of_file {};
    if (stat(folder.c_str(), &of_folder) != 0 || fstat(in.fd(), &of_file) != 0) {
        return {level::warning, "sharing", "the folder " + folder + " cannot be looked at", "check its mode"};
    }
    const bool by_group = (of_folder.st_mode & S_IWGRP) != 0;
    return {level::fine,
            "sharing",
            "the folder " + folder + " has mode " + octal(of_folder.st_mode) + " and " + in.file() +
                " has mode " + octal(of_file.st_mode) + ": " +
                (by_group ? "group " + std::to_string(of_file.st_gid) + " shares the locks"
                          : "user " + std::to_string(of_file.st_uid) + " has the locks alone"),
            {}};
}

finding check_file_system(const segment& in) {
    struct statfs where {};
    if (fstatfs(in.fd(), &where) != 0) {
        return {level::warning, "file system", "the kind of file system cannot be learned",
                "make sure that it is on a disk of this machine"};
    }
    std::array<char, 24> magic{};
    std::snprintf(magic.data(), magic.size(), "0x%lx", static_cast<unsigned long>(where.f_type));
    return {level::fine,
            "file system",
            std::string("kind ") + magic.data() + ", on this machine as far as it says: memory is shared",
            {}};
}

/// A segment whose pages have no place on the disk yet would end a process with SIGBUS when the disk is full.
finding check_disk(const segment& in) {
    struct stat seen {};
    struct statvfs room {};
    if (fstat(in.fd(), &seen) != 0 || fstatvfs(in.fd(), &room) != 0) {
        return {level::warning, "disk", "its room cannot be learned", "make sure that the disk is not full"};
    }
    const std::uint64_t has = static_cast<std::uint64_t>(seen.st_blocks) * 512;
    const std::uint64_t left = static_cast<std::uint64_t>(room.f_bavail) * room.f_frsize;
    const std::uint64_t missing =
        sizeof(segment_layout) - std::min<std::uint64_t>(has, sizeof(segment_layout));
    const std::string text = "the segment has " + std::to_string(has >> 20) + " of " +
                             std::to_string(sizeof(segment_layout) >> 20) + " MB on the disk, where " +
                             std::to_string(left >> 20) + " MB are left";
    return missing > left ? finding{level::error, "disk", text, "free some space before the disk is full"}
                          : finding{level::fine, "disk", text, {}};
}

finding check_waitv() {
    if (has_futex_waitv()) {
        return {
            level::fine, "futex_waitv", "the kernel has it: a waiter hears of every death ahead at once", {}};
    }
    return {level::warning, "futex_waitv",
            "the kernel or a seccomp profile bars it: waiters look for deaths every " +
                std::to_string(fallback_nap.count()) + " ms instead",
            "use Linux 5.16 or newer, and a container runtime whose profile allows futex_waitv"};
}

finding check_boot() {
    if (access("/proc/sys/kernel/random/boot_id", R_OK) == 0) {
        return {level::fine, "boot id", "it can be read: a segment from before a reboot is recognised", {}};
    }
    return {level::warning, "boot id",
            "/proc/sys/kernel/random/boot_id cannot be read: a reboot goes unnoticed",
            "mount /proc, or delete the segment after a reboot"};
}

finding check_clock(const segment& in) {
    timespec realtime{};
    clock_gettime(CLOCK_REALTIME, &realtime);
    constexpr time_t year_2020 = 1'577'836'800;
    if (realtime.tv_sec < year_2020) {
        return {level::warning, "clock",
                "the wall clock says it is before 2020: tokens after a loss of the file might not rise",
                "set the clock"};
    }
    const std::uint64_t floor = in.data().head.token_floor.load();
    const bool behind = floor > static_cast<std::uint64_t>(realtime.tv_sec) * 1'000'000'000U;
    return {level::fine,
            "clock",
            behind ? "the wall clock was set back since tokens were last granted; they rise all the same"
                   : "leases count on the monotonic clock; the wall clock is only where tokens begin",
            {}};
}

finding fill(const std::string& what, const std::string& of, std::size_t used, std::size_t count,
             const std::string& remedy) {
    const std::string text = std::to_string(used) + " of " + std::to_string(count) + " " + of + " are in use";
    return used * 2 > count ? finding{level::warning, what, text, remedy}
                            : finding{level::fine, what, text, {}};
}

void check_tables(const segment& in, std::vector<finding>& into) {
    const segment_layout& data = in.data();
    into.push_back(fill("names", "names", std::min(data.head.record_high.load(), record_count), record_count,
                        "let every program that uses it end once, which makes room, or use several folders"));
    const auto sessions = std::count_if(data.slots.begin(), data.slots.end(), [](const slot& each) {
        return state_of(each.session.load()) != session_state::free;
    });
    into.push_back(fill("sessions", "places for sessions", static_cast<std::size_t>(sessions), slot_count,
                        "share one locks object within a program"));
    const auto cells = std::count_if(data.cells.begin(), data.cells.end(),
                                     [&in](const cell& each) { return !in.is_void(each.owner.load()); });
    into.push_back(fill("cells", "places to wait in", static_cast<std::size_t>(cells), cell_count,
                        "let fewer claims wait at a time"));
}

/// Does the kernel say that a thread has ended, as it must say it of a process that is killed?
finding check_deaths() {
    struct {
        robust_list node;
        word32 life{0};
    } word;
    robust_list_head head{};
    head.list.next = &word.node;
    word.node.next = &head.list;
    head.futex_offset = static_cast<long>(reinterpret_cast<std::intptr_t>(&word.life) -
                                          reinterpret_cast<std::intptr_t>(&word.node));
    std::thread([&] {
        word.life.store(static_cast<std::uint32_t>(syscall(SYS_gettid)) | FUTEX_WAITERS);
        syscall(SYS_set_robust_list, &head, sizeof head);
    }).join();
    const instant give_up = now(clock_source::monotonic) + std::chrono::seconds(1);
    while (is_living(word.life.load()) && now(clock_source::monotonic) < give_up) {
        std::this_thread::sleep_for(
            std::chrono::milliseconds(1)); // The list is walked before a join returns.
    }
    if (!is_living(word.life.load())) {
        return {level::fine, "death watch", "the kernel tells at once when a process has died", {}};
    }
    return {level::warning, "death watch",
            "the kernel does not tell when a thread ends: a dead holder is succeeded at its TTL",
            "use a kernel with robust futexes, and a seccomp profile that allows set_robust_list"};
}

} // namespace

std::vector<finding> diagnose(const std::string& path, const result<std::shared_ptr<segment>>& opened,
                              std::chrono::nanoseconds ttl) {
    std::vector<finding> found;
    if (!opened) {
        found.push_back({level::error, "segment", opened.error().message(),
                         "make " + folder_for(path) + " usable, or name another folder as local:/folder"});
    } else {
        const segment& in = **opened;
        found.push_back({level::fine,
                         "segment",
                         in.file() + " can be used; its layout has version " + std::to_string(layout_version),
                         {}});
        found.push_back(check_sharing(folder_for(path), in));
        found.push_back(check_file_system(in));
        found.push_back(check_disk(in));
        check_tables(in, found);
        found.push_back(check_clock(in));
    }
    found.push_back(check_boot());
    found.push_back(check_waitv());
    found.push_back(check_deaths());
    if (ttl < std::chrono::seconds(1)) {
        found.push_back({level::warning, "ttl",
                         "less than a second: a busy machine may keep a process waiting as long",
                         "take a TTL of some seconds; a death is noticed at once all the same"});
    }
    return found;
}

} // namespace holdfast::local
