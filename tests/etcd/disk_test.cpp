// A server whose disk is full: etcd ends then, and is started again once there is room.
#include "etcd/one_server.hpp"

#include <fstream>

#include <unistd.h>

namespace holdfast::etcd::testing {
namespace {

/// A file system of its own, of 160 MiB, which only this test can fill: etcd's log takes 64 MiB a piece in
/// advance. It ends with its process; as root it needs no user namespace.
class small_disk {
  public:
    small_disk() {
        std::vector<std::string> argv{"unshare", "--mount"};
        if (::geteuid() != 0) {
            argv.insert(argv.end(), {"--user", "--map-root-user"});
        }
        argv.insert(argv.end(),
                    {"sh", "-c", "mount -t tmpfs -o size=160m tmpfs /mnt && echo ready && exec cat"});
        holdfast::testing::process_options how;
        how.input_pipe = true;
        how.out = holdfast::testing::redirect::pipe();
        keeper_ = std::make_unique<child_process>(argv, how);
        EXPECT_EQ(keeper_->read_line(5s), "ready") << "this needs the right to mount a tmpfs";
    }
    std::filesystem::path path() const { return "/proc/" + std::to_string(keeper_->pid()) + "/root/mnt"; }
    void fill() {
        std::ofstream filler(path() / "filler");
        const std::string block(1 << 16, 'x');
        while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
        }
    }
    void make_room() { std::filesystem::remove(path() / "filler"); }

  private:
    std::unique_ptr<child_process> keeper_;
};

TEST(etcd_full_disk, grants_nothing_and_costs_no_hold_when_there_is_room_again_in_time) {
    small_disk disk;
    etcd_server server({"--data-dir", (disk.path() / "data").string()});
    server_world world(server.url());
    member ann(world, 60s);
    member bob(world, 60s);
    const auto held = ann.stand("jobs");
    ASSERT_EQ(held->seen().granted, 1);

    disk.fill();
    holdfast::testing::process_options writing;
    writing.env = {{"ETCDCTL_API", "3"}};
    writing.input = std::string(500'000, 'x');
    for (int i = 0; i < 20 && server.running(); ++i) {
        static_cast<void>(
            holdfast::testing::run_process({"etcdctl", "--endpoints", server.endpoint(), "--command-timeout",
                                            "1s", "put", "more" + std::to_string(i)},
                                           10s, writing));
    }
    ASSERT_TRUE(wait_for([&] { return !server.running(); }, 10s)) << "etcd is expected to give up";
    const auto refused = bob.stand("jobs");
    ASSERT_TRUE(refused->seen().refusal);
    EXPECT_EQ(refused->seen().refusal->code(), errc::unavailable);
    EXPECT_EQ(held->seen().lost, 0) << "its lease has not ended";

    disk.make_room();
    server.start();
    EXPECT_TRUE(wait_for([&] { return ann.renew(); }, 20s));
    const auto waiting = bob.stand("jobs");
    EXPECT_EQ(waiting->seen().granted, 0) << "the hold outlived the server";
    ann.leave(held);
    EXPECT_TRUE(bob.granted(waiting));
}

} // namespace
} // namespace holdfast::etcd::testing
