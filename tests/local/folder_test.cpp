// Where the segment may lie, who may share it, and what is refused.
#include "local/support.hpp"

#include <atomic>
#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>

#include <gmock/gmock.h>

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

class folder_rules : public ::testing::Test {
  protected:
    std::string folder() const { return folder_.path().string(); }
    std::filesystem::path file() const { return folder_ / local::segment_file; }
    auto open() const { return local::open_segment(folder(), now(clock_source::monotonic) + 100ms); }
    /// Why it is refused; empty when it is not.
    std::string refusal(errc expected = errc::config) const {
        const auto opened = open();
        if (opened) {
            return {};
        }
        EXPECT_EQ(opened.error().code(), expected);
        return opened.error().message();
    }
    void make_segment() const { ASSERT_TRUE(open()); }
    void overwrite(std::uint64_t at, std::uint32_t value) const {
        std::fstream file_stream(file(), std::ios::in | std::ios::out | std::ios::binary);
        file_stream.seekp(static_cast<std::streamoff>(at));
        file_stream.write(reinterpret_cast<const char*>(&value), sizeof value);
        ASSERT_TRUE(file_stream.flush());
    }
    /// A new file then begins with the wrong group. Only root may do so; others test with their own.
    void give_to_another_group() const {
        if (geteuid() == 0) {
            ASSERT_EQ(chown(folder().c_str(), static_cast<uid_t>(-1), 12345), 0);
        }
    }
    mode_t mode_of_file() const {
        struct stat seen {};
        EXPECT_EQ(stat(file().c_str(), &seen), 0);
        return seen.st_mode & 07777;
    }

    temp_dir folder_{"holdfast-folder"};
};

TEST_F(folder_rules, a_private_folder_has_a_private_segment) {
    make_segment();
    EXPECT_EQ(mode_of_file(), 0600U);
}

TEST_F(folder_rules, a_folder_that_is_missing_is_made_private) {
    const auto inner = folder_ / "inner";
    ASSERT_TRUE(local::open_segment(inner.string(), soon()));
    struct stat seen {};
    ASSERT_EQ(stat(inner.c_str(), &seen), 0);
    EXPECT_EQ(seen.st_mode & 07777, 0700U);
}

TEST_F(folder_rules, a_folder_of_a_group_has_a_segment_of_that_group) {
    ASSERT_EQ(chmod(folder().c_str(), 0770), 0);
    make_segment();
    EXPECT_EQ(mode_of_file(), 0660U);
    EXPECT_TRUE(open());
}

TEST_F(folder_rules, first_openers_of_a_shared_folder_do_not_disturb_each_other) {
    ASSERT_EQ(chmod(folder().c_str(), 0770), 0);
    give_to_another_group();
    for (int turn = 0; turn < 20; ++turn) {
        local::pretend_no_tmpfile(turn % 2 != 0);
        std::filesystem::remove(file());
        std::atomic<int> ready{0};
        std::vector<std::thread> openers;
        for (int i = 0; i < 4; ++i) {
            openers.emplace_back([&] {
                ++ready;
                while (ready.load() < 4) {
                }
                const auto opened = local::open_segment(folder(), soon());
                EXPECT_TRUE(opened) << opened.error().message();
            });
        }
        for (auto& each : openers) {
            each.join();
        }
        EXPECT_EQ(mode_of_file(), 0660U);
        // Nothing else is left in the folder.
        EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder()), {}), 1);
    }
    local::pretend_no_tmpfile(false);
}

TEST_F(folder_rules, a_killed_first_opener_leaves_nothing_that_others_cannot_open) {
    // Killed anywhere on its way; the next one must always get in.
    give_to_another_group();
    for (const bool group : {true, false}) {
        ASSERT_EQ(chmod(folder().c_str(), group ? 0770 : 0700), 0);
        for (int turn = 0; turn < 30; ++turn) {
            std::filesystem::remove(file());
            const pid_t child = fork();
            ASSERT_GE(child, 0);
            if (child == 0) {
                static_cast<void>(local::open_segment(folder(), soon()));
                _exit(0);
            }
            std::this_thread::sleep_for(std::chrono::microseconds(50 * turn));
            kill(child, SIGKILL);
            ASSERT_EQ(waitpid(child, nullptr, 0), child);
            const auto opened = local::open_segment(folder(), soon());
            ASSERT_TRUE(opened) << turn << ": " << opened.error().message();
        }
    }
}

TEST_F(folder_rules, a_folder_that_everybody_may_write_to_is_refused) {
    ASSERT_EQ(chmod(folder().c_str(), 01777), 0);
    EXPECT_THAT(refusal(), AllOf(HasSubstr(folder()), HasSubstr("everybody may write")));
    EXPECT_FALSE(std::filesystem::exists(file()));
}

TEST_F(folder_rules, a_network_file_system_is_refused_by_name) {
    // As linux/magic.h and the sources of those that are not in it have them.
    const std::vector<std::pair<std::uint32_t, std::string>> known{
        {0x6969, "NFS"},           {0x517B, "SMB"},      {0xFF534D42, "CIFS"},  {0xFE534D42, "SMB"},
        {0x65735546, "FUSE"},      {0x00C36400, "Ceph"}, {0x5346414F, "AFS"},   {0x6B414653, "AFS"},
        {0x01021997, "9P"},        {0x73757245, "Coda"}, {0x564C, "NCP"},       {0x0BD00BD0, "Lustre"},
        {0x47504653, "GPFS"},      {0x01161970, "GFS2"}, {0x7461636F, "OCFS2"}, {0x19830326, "BeeGFS"},
        {0x786F4256, "VirtualBox"}};
    for (const auto& [magic, name] : known) {
        local::pretend_file_system(magic);
        EXPECT_THAT(refusal(), AllOf(HasSubstr(folder()), HasSubstr(name), HasSubstr("local disk")));
        EXPECT_FALSE(std::filesystem::exists(file()));
    }
    local::pretend_file_system(0xEF53); // ext4
    EXPECT_TRUE(open());
    local::pretend_file_system(0);
}

TEST_F(folder_rules, users_of_a_group_share_the_locks_of_its_folder) {
    constexpr gid_t group = 12345;
    if (geteuid() != 0) {
        GTEST_SKIP() << "only root can be two users";
    }
    // Where others can get at it: neither the build nor the test's own folder need be such a place.
    const temp_dir outside("holdfast-group");
    ASSERT_EQ(chmod(outside.path().c_str(), 0755), 0);
    const std::string worker = outside / "worker";
    std::filesystem::copy_file(LOCAL_WORKER, worker);
    const std::string shared = outside / "shared";
    std::filesystem::create_directory(shared);
    ASSERT_EQ(chown(shared.c_str(), 0, group), 0);
    ASSERT_EQ(chmod(shared.c_str(), 0770), 0);
    const auto as_user = [&](uid_t user) {
        process_options how;
        how.uid = user;
        how.gid = group;
        return std::make_unique<holder>(std::vector<std::string>{worker, "hold", shared, "name", "600000"},
                                        how);
    };
    const auto ann = as_user(12346);
    const auto token = ann->token();
    if (token == 0 &&
        run_process({"setpriv", "--reuid=12346", "--clear-groups", worker}, patience).status.code == 127) {
        GTEST_SKIP() << outside.path() << " cannot be reached by other users";
    }
    ASSERT_NE(token, 0U);
    const auto bob = as_user(12347);
    const auto root = connect("local:" + shared);
    EXPECT_TRUE(wait_for([&] { return claims_in(root, "name") == 2; }, patience));
    struct stat seen {};
    ASSERT_EQ(stat((shared + "/" + local::segment_file).c_str(), &seen), 0);
    EXPECT_EQ(seen.st_gid, group);
    EXPECT_EQ(seen.st_mode & 07777, 0660U);
    ann->process().kill(); // Its death is noticed by somebody who may not even send it a signal.
    EXPECT_GT(bob->token(), token);
    EXPECT_EQ(bob->release(), "released");
    holder stranger({worker, "hold", shared, "name", "600000"}, [] {
        process_options how;
        how.uid = 12348;
        how.gid = 12348;
        return how;
    }());
    EXPECT_EQ(stranger.token(), 0U);
}

TEST_F(folder_rules, a_segment_that_others_may_write_to_is_refused) {
    make_segment();
    ASSERT_EQ(chmod(file().c_str(), 0666), 0);
    EXPECT_THAT(refusal(), AllOf(HasSubstr(file().string()), HasSubstr("0600")));
}

TEST_F(folder_rules, a_segment_of_another_owner_is_refused) {
    if (geteuid() == 0) {
        make_segment();
        ASSERT_EQ(chown(file().c_str(), 12345, 12345), 0);
        EXPECT_THAT(refusal(), AllOf(HasSubstr(file().string()), HasSubstr("others own it")));
    }
}

TEST_F(folder_rules, a_symbolic_link_is_not_followed) {
    std::ofstream(folder_ / "elsewhere") << "";
    std::filesystem::create_symlink(folder_ / "elsewhere", file());
    EXPECT_THAT(refusal(), AllOf(HasSubstr(file().string()), HasSubstr("symbolic link")));
    EXPECT_EQ(std::filesystem::file_size(folder_ / "elsewhere"), 0U);
}

TEST_F(folder_rules, a_hard_link_is_refused) {
    make_segment();
    std::filesystem::create_hard_link(file(), folder_ / "second");
    EXPECT_THAT(refusal(), HasSubstr("hard link"));
}

TEST_F(folder_rules, something_else_than_a_file_is_refused) {
    ASSERT_EQ(mkfifo(file().c_str(), 0600), 0);
    EXPECT_THAT(refusal(), HasSubstr("not a regular file"));
}

TEST_F(folder_rules, a_path_that_is_no_folder_is_refused) {
    std::ofstream(folder_ / "plain") << "";
    const auto opened = local::open_segment((folder_ / "plain").string(), soon());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), errc::config);
    EXPECT_THAT(opened.error().message(), HasSubstr("plain"));
}

TEST_F(folder_rules, another_layout_version_is_refused_by_name) {
    make_segment();
    overwrite(offsetof(local::header, layout), local::layout_version + 1);
    EXPECT_THAT(refusal(), AllOf(HasSubstr(file().string()),
                                 HasSubstr("layout version " + std::to_string(local::layout_version + 1))));
}

TEST_F(folder_rules, a_file_that_is_no_segment_is_refused_and_left_alone) {
    std::ofstream(file()) << "somebody's notes";
    ASSERT_EQ(chmod(file().c_str(), 0600), 0);
    EXPECT_THAT(refusal(errc::unavailable), AllOf(HasSubstr(file().string()), HasSubstr("damaged")));
    EXPECT_EQ(std::filesystem::file_size(file()), 16U);
}

TEST_F(folder_rules, a_segment_cut_short_is_refused) {
    make_segment();
    std::filesystem::resize_file(file(), 100000);
    EXPECT_THAT(refusal(errc::unavailable), AllOf(HasSubstr(file().string()), HasSubstr("100000 bytes")));
}

TEST_F(folder_rules, an_empty_file_becomes_a_segment) {
    std::ofstream(file()) << "";
    ASSERT_EQ(chmod(file().c_str(), 0600), 0);
    make_segment();
    EXPECT_EQ(std::filesystem::file_size(file()), sizeof(local::segment_layout));
}

TEST_F(folder_rules, a_segment_whose_making_was_interrupted_is_made_again) {
    make_segment();
    overwrite(offsetof(local::header, ready), 0);
    std::filesystem::resize_file(file(), 100000);
    ASSERT_TRUE(open());
    EXPECT_EQ(std::filesystem::file_size(file()), sizeof(local::segment_layout));
}

TEST_F(folder_rules, a_segment_whose_first_making_was_cut_short_before_its_magic_is_made) {
    std::ofstream(file()) << "";
    ASSERT_EQ(chmod(file().c_str(), 0600), 0);
    std::filesystem::resize_file(file(), sizeof(local::segment_layout));
    overwrite(offsetof(local::header, layout), local::layout_version);
    EXPECT_EQ(refusal(), "");
    std::filesystem::resize_file(file(), 0);
    std::filesystem::resize_file(file(), sizeof(local::segment_layout));
    overwrite(offsetof(local::header, layout), local::layout_version);
    overwrite(offsetof(local::header, bytes), sizeof(local::segment_layout));
    EXPECT_EQ(refusal(), "");
    EXPECT_TRUE(connect("local:" + folder()).mutex("name").try_acquire());
}

TEST_F(folder_rules, the_disk_space_is_taken_at_creation) {
    make_segment();
    struct stat seen {};
    ASSERT_EQ(stat(file().c_str(), &seen), 0);
    EXPECT_GE(seen.st_blocks * 512, static_cast<off_t>(sizeof(local::segment_layout)));
}

/// What a process finds that has less room in the folder than a segment needs; it exits with 0 when that is a
/// proper refusal. Its disk is full where it may mount one, otherwise its files may not grow.
[[noreturn]] void open_without_room(const std::string& folder) {
    const bool mounted = unshare(CLONE_NEWNS) == 0 &&
                         mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         mount("none", folder.c_str(), "tmpfs", 0, "size=64k,mode=0700") == 0;
    if (!mounted) {
        signal(SIGXFSZ, SIG_IGN);
        const rlimit little{65536, 65536};
        setrlimit(RLIMIT_FSIZE, &little);
    }
    if (mounted) { // Not even the first page finds room.
        std::ofstream(folder + "/filler") << std::string(65536, 'x');
    }
    // A second try must find the first one's file no worse than the first did.
    for (int turn = 0; turn < 2; ++turn) {
        const auto opened = local::open_segment(folder, soon());
        if (opened || opened.error().code() != errc::config ||
            opened.error().message().find("making room for") == std::string::npos) {
            _exit(1);
        }
    }
    _exit(0);
}

TEST_F(folder_rules, a_full_disk_is_refused_and_not_written_to) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        open_without_room(folder());
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_EQ(refusal(), "");
}

TEST_F(folder_rules, a_reboot_empties_the_segment_and_tokens_still_rise) {
    std::uint64_t before = 0;
    {
        const auto locks = connect("local:" + folder());
        auto held = locks.mutex("name").acquire();
        ASSERT_TRUE(held);
        before = held->token().value();
        // As after a power cut: nobody has released anything, and the floor is far ahead of the wall clock.
        local::pretend_boot_id({1, 2});
        const auto early = open();
        ASSERT_FALSE(
            early); // Somebody of the old boot still has it open: that cannot be, so nothing is touched.
        EXPECT_EQ(early.error().code(), errc::unavailable);
        const auto opened = [&] {
            local::pretend_boot_id(local::boot_id_of_kernel());
            return local::open_segment(folder(), soon());
        }();
        ASSERT_TRUE(opened);
        (*opened)->data().head.token_floor.store(before + 1'000'000'000'000'000);
        before += 1'000'000'000'000'000;
    }
    local::pretend_boot_id({1, 2});
    const auto locks = connect("local:" + folder());
    const auto all = locks.list();
    ASSERT_TRUE(all);
    EXPECT_TRUE(all->empty());
    auto held = locks.mutex("name").acquire();
    ASSERT_TRUE(held);
    EXPECT_GT(held->token().value(), before);
    local::pretend_boot_id(local::boot_id_of_kernel());
}

TEST_F(folder_rules, a_deleted_segment_ends_the_session) {
    const auto locks = connect("local:" + folder(), {.ttl = 300ms});
    auto held = locks.mutex("name").acquire();
    ASSERT_TRUE(held);
    std::filesystem::remove(file());
    EXPECT_TRUE(wait_for([&] { return held->is_lost(); }, patience));
    // The next acquire begins on a new one.
    EXPECT_TRUE(locks.mutex("name").try_acquire_for(patience));
    EXPECT_TRUE(std::filesystem::exists(file()));
}

TEST_F(folder_rules, a_segment_that_is_moved_away_ends_the_session) {
    const auto inner = folder_ / "inner";
    for (const bool whole_folder : {false, true}) {
        const auto locks = connect("local:" + inner.string(), {.ttl = 300ms});
        auto held = locks.mutex("name").acquire();
        ASSERT_TRUE(held);
        if (whole_folder) {
            std::filesystem::rename(inner, folder_ / "moved");
        } else {
            std::filesystem::rename(inner / local::segment_file, folder_ / "moved file");
        }
        EXPECT_TRUE(wait_for([&] { return held->is_lost(); }, patience));
        EXPECT_TRUE(locks.mutex("name").try_acquire_for(patience));
        EXPECT_TRUE(std::filesystem::exists(inner / local::segment_file));
    }
}

TEST_F(folder_rules, the_default_folder_is_the_users_own) {
    EXPECT_EQ(local::folder_for(""), "/var/tmp/holdfast-" + std::to_string(geteuid()));
    EXPECT_EQ(local::folder_for("/somewhere"), "/somewhere");
}

} // namespace
} // namespace holdfast::testing
