#include "folder.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "initialise.hpp"

namespace holdfast::local {
namespace {

using std::chrono::milliseconds;

std::string reason(int number) {
    return std::error_code(number, std::generic_category()).message();
}

error unusable(const std::string& what, const std::string& why, const std::string& remedy) {
    return {errc::config, what + " cannot be used: " + why + "; " + remedy};
}

error no_access(const std::string& step, const std::string& what, int number) {
    if (number == EMFILE || number == ENFILE) {
        return {errc::unavailable, step + " " + what + " failed: " + reason(number) + "; raise ulimit -n"};
    }
    const bool rights = number == EACCES || number == EPERM;
    return {rights ? errc::unauthorized : errc::config,
            step + " " + what + " failed: " + reason(number) +
                (rights ? "; ask for the rights, or name another folder as local:/folder"
                        : "; name a folder on a local disk as local:/folder")};
}

/// A descriptor that closes itself.
class owned_fd {
  public:
    explicit owned_fd(int fd) noexcept : fd_(fd) {}
    ~owned_fd() {
        if (fd_ >= 0) {
            close(fd_);
        }
    }
    owned_fd(const owned_fd&) = delete;
    owned_fd& operator=(const owned_fd&) = delete;
    int get() const noexcept { return fd_; }
    int release() noexcept { return std::exchange(fd_, -1); }

  private:
    int fd_;
};

/// Who may share a folder, read off its mode.
struct sharing {
    uid_t owner = 0;
    gid_t group = 0;
    bool by_group = false;
};

std::atomic<std::uint32_t> pretended_magic{0};

const char* foreign_file_system(int fd) noexcept {
    struct statfs where {};
    if (fstatfs(fd, &where) != 0) {
        return nullptr;
    }
    const std::uint32_t pretended = pretended_magic.load();
    struct known {
        std::uint32_t magic;
        const char* name;
    };
    constexpr std::array<known, 17> network{{{0x6969, "NFS"},
                                             {0x517B, "SMB"},
                                             {0xFF534D42, "CIFS"},
                                             {0xFE534D42, "SMB"},
                                             {0x65735546, "FUSE"},
                                             {0x00C36400, "Ceph"},
                                             {0x5346414F, "AFS"},
                                             {0x6B414653, "AFS"},
                                             {0x01021997, "9P"},
                                             {0x73757245, "Coda"},
                                             {0x564C, "NCP"},
                                             {0x0BD00BD0, "Lustre"},
                                             {0x47504653, "GPFS"},
                                             {0x01161970, "GFS2"},
                                             {0x7461636F, "OCFS2"},
                                             {0x19830326, "BeeGFS"},
                                             {0x786F4256, "a VirtualBox shared folder"}}};
    const auto magic = pretended != 0 ? pretended : static_cast<std::uint32_t>(where.f_type);
    const auto* found =
        std::find_if(network.begin(), network.end(), [&](const known& k) { return k.magic == magic; });
    return found == network.end() ? nullptr : found->name;
}

result<sharing> check_folder(int fd, const std::string& folder, bool is_default) {
    struct stat seen {};
    if (fstat(fd, &seen) != 0) {
        return no_access("reading", "the folder " + folder, errno);
    }
    if (is_default && (seen.st_uid != geteuid() || (seen.st_mode & 077) != 0)) {
        return unusable(
            "the folder " + folder, "it is not yours alone",
            "somebody made it before you: remove it or chmod 700 it, or name another one as local:/folder");
    }
    if ((seen.st_mode & S_IWOTH) != 0) {
        return unusable("the folder " + folder, "everybody may write to it",
                        "take a private folder, or one that only a group may write to");
    }
    if (const char* network = foreign_file_system(fd)) {
        return unusable("the folder " + folder,
                        std::string("it is on ") + network + ", where memory is not shared",
                        "take a folder on a local disk");
    }
    return sharing{seen.st_uid, seen.st_gid, (seen.st_mode & S_IWGRP) != 0};
}

result<void> check_file(const struct stat& seen, const std::string& file, const sharing& rules) {
    if (!S_ISREG(seen.st_mode)) {
        return unusable(file, "it is not a regular file", "move it away");
    }
    if (seen.st_nlink > 1) {
        return unusable(file, "it has a second name (a hard link)", "remove the other name");
    }
    if (rules.by_group) {
        if (seen.st_gid != rules.group || (seen.st_mode & 07117) != 0) {
            return unusable(file, "its group or mode is not that of a segment shared by the folder's group",
                            "it should have the folder's group and mode 0660");
        }
        return {};
    }
    if ((seen.st_uid != geteuid() && seen.st_uid != rules.owner) || (seen.st_mode & 07177) != 0) {
        return unusable(file, "others own it or may write to it", "it should be yours with mode 0600");
    }
    return {};
}

std::atomic<bool> tmpfile_missing{false};

/// Everybody who may share the file gets his rights to it, and nobody else.
bool give_rights(int fd, const sharing& rules) noexcept {
    if (rules.by_group) {
        return fchown(fd, static_cast<uid_t>(-1), rules.group) == 0 && fchmod(fd, 0660) == 0;
    }
    return fchmod(fd, 0600) == 0 && (rules.owner == geteuid() || fchown(fd, rules.owner, rules.group) == 0);
}

error no_rights(const std::string& file, const sharing& rules, int why) {
    return no_access(rules.by_group ? "giving the folder's group access to"
                                    : "giving the folder's owner access to",
                     file, why);
}

/// Makes the file where no name is needed until it is ready: nothing is left of it if we are killed before.
/// Empty: this file system cannot do so, or /proc is not there.
result<std::optional<int>> make_unnamed(int folder, const std::string& file, const sharing& rules) {
    if (tmpfile_missing.load()) {
        return std::optional<int>();
    }
    owned_fd made(openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (made.get() < 0) {
        return std::optional<int>();
    }
    if (!give_rights(made.get(), rules)) {
        return no_rights(file, rules, errno);
    }
    const std::string link = "/proc/self/fd/" + std::to_string(made.get());
    if (linkat(AT_FDCWD, link.c_str(), folder, segment_file, AT_SYMLINK_FOLLOW) != 0) {
        return std::optional<int>();
    }
    return std::optional<int>(made.release());
}

/// Makes the file under a name of its own and renames it when it is ready. Who is killed on the way leaves an
/// empty file that nobody looks at. Empty: somebody else was quicker.
result<std::optional<int>> make_aside(int folder, const std::string& file, const sharing& rules) {
    static std::atomic<unsigned> count{0};
    const auto at = now(clock_source::monotonic).time_since_epoch().count();
    // Another PID namespace may use the same number, but hardly in the same nanosecond.
    const std::string aside = "." + std::string(segment_file) + "." + std::to_string(getpid()) + "." +
                              std::to_string(at) + "." + std::to_string(count.fetch_add(1));
    owned_fd made(openat(folder, aside.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (made.get() < 0) {
        return no_access("making", file, errno);
    }
    if (!give_rights(made.get(), rules)) {
        const int why = errno;
        unlinkat(folder, aside.c_str(), 0);
        return no_rights(file, rules, why);
    }
    constexpr unsigned no_replace = 1; // RENAME_NOREPLACE, which not every C library has.
    if (syscall(SYS_renameat2, folder, aside.c_str(), folder, segment_file, no_replace) == 0) {
        return std::optional<int>(made.release());
    }
    int why = errno;
    if (why == EINVAL || why == ENOSYS) { // The file system cannot. For a moment it has two names then.
        why = linkat(folder, aside.c_str(), folder, segment_file, 0) == 0 ? 0 : errno;
    }
    unlinkat(folder, aside.c_str(), 0);
    if (why == 0) {
        return std::optional<int>(made.release());
    }
    return why == EEXIST ? result<std::optional<int>>(std::optional<int>()) : no_access("making", file, why);
}

/// Opens the file, or makes it; it gets its name only when whoever may share it can open it. Empty: somebody
/// else has made or removed it just now; try again.
result<std::optional<int>> open_file(int folder, const std::string& file, const sharing& rules) {
    owned_fd found(openat(folder, segment_file, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    if (found.get() >= 0) {
        struct stat seen {};
        if (fstat(found.get(), &seen) != 0) {
            return no_access("reading", file, errno);
        }
        if (seen.st_nlink == 0) {
            return std::optional<int>();
        }
        if (auto good = check_file(seen, file, rules); !good) {
            return good.error();
        }
        return std::optional<int>(found.release());
    }
    if (errno == ELOOP) {
        return unusable(file, "it is a symbolic link", "remove it");
    }
    if (errno != ENOENT) {
        return no_access("opening", file, errno);
    }
    auto made = make_unnamed(folder, file, rules);
    return !made || *made ? made : make_aside(folder, file, rules);
}

result<int> open_folder(const std::string& folder, bool is_default) {
    constexpr int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    // Whoever names a folder may name it through a link; the default's parent is writable by everybody.
    const int follow = is_default ? O_NOFOLLOW : 0;
    int fd = open(folder.c_str(), flags | follow);
    if (fd < 0 && errno == ENOENT) {
        if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
            return no_access("making", "the folder " + folder, errno);
        }
        fd = open(folder.c_str(), flags | follow);
    }
    if (fd < 0) {
        return no_access("opening", "the folder " + folder, errno);
    }
    return fd;
}

} // namespace

void pretend_file_system(std::uint32_t magic) noexcept {
    pretended_magic.store(magic);
}

void pretend_no_tmpfile(bool pretend) noexcept {
    tmpfile_missing.store(pretend);
}

bool lock_byte(int fd, std::int64_t at, bool exclusive) noexcept {
    struct flock range {};
    range.l_type = exclusive ? F_WRLCK : F_RDLCK;
    range.l_whence = SEEK_SET;
    range.l_start = at;
    range.l_len = 1;
    return fcntl(fd, F_OFD_SETLK, &range) == 0;
}

void unlock_byte(int fd, std::int64_t at) noexcept {
    struct flock range {};
    range.l_type = F_UNLCK;
    range.l_whence = SEEK_SET;
    range.l_start = at;
    range.l_len = 1;
    fcntl(fd, F_OFD_SETLK, &range);
}

std::string folder_for(const std::string& path) {
    return path.empty() ? "/var/tmp/holdfast-" + std::to_string(geteuid()) : path;
}

result<std::shared_ptr<segment>> open_segment(const std::string& path, instant give_up, bool catches) {
    const std::string folder = folder_for(path);
    const std::string file = folder + (folder.back() == '/' ? "" : "/") + segment_file;
    auto opened = open_folder(folder, path.empty());
    if (!opened) {
        return opened.error();
    }
    const owned_fd folder_fd(*opened);
    const auto rules = check_folder(folder_fd.get(), folder, path.empty());
    if (!rules) {
        return rules.error();
    }
    for (;; std::this_thread::sleep_for(milliseconds(1))) {
        auto found = open_file(folder_fd.get(), file, *rules);
        if (!found) {
            return found.error();
        }
        if (*found) {
            owned_fd fd(**found);
            auto ready = prepare(fd.get(), file, catches);
            if (!ready) {
                return ready.error();
            }
            if (*ready != nullptr) {
                return std::make_shared<segment>(fd.release(), std::move(*ready), file);
            }
        }
        if (now(clock_source::monotonic) >= give_up) {
            return error(errc::unavailable, file + " has been in the making by another process all the time; "
                                                   "if it is stopped, let it go on or end it");
        }
    }
}

} // namespace holdfast::local
