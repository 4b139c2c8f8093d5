// A cluster that was restored from a snapshot, or replaced by another: whatever was held before is lost.
#include <filesystem>

#include "etcd/one_server.hpp"

namespace holdfast::etcd::testing {
namespace {

// failures.md 19. The lease and the keys are in the snapshot: the holder's renewals go on succeeding.
TEST(etcd_restore, a_restored_snapshot_ends_every_hold) {
    etcd_server server;
    server_world world(server.url());
    member ann(world, 30s);
    member bob(world, 30s);
    const auto held = ann.stand("restored");
    const auto waiting = bob.stand("restored");
    ASSERT_EQ(held->seen().granted, 1);
    const auto snapshot = (server.folder() / "snapshot").string();
    etcdctl(server, {"snapshot", "save", snapshot});
    for (int i = 0; i < 20; ++i) {
        etcdctl(server, {"put", "anything", std::to_string(i)});
    }
    ASSERT_TRUE(ann.renew()); // It has seen how far the cluster was.
    const auto later = ann.stand("later");
    ASSERT_EQ(later->seen().granted, 1);

    server.stop();
    std::filesystem::remove_all(server.folder() / "data");
    const auto done = holdfast::testing::run_process(
        {"etcdctl", "snapshot", "restore", snapshot, "--data-dir", (server.folder() / "data").string()}, 30s,
        {.env = {{"ETCDCTL_API", "3"}}});
    ASSERT_TRUE(done.status.ok()) << done.err;
    server.start();

    const auto is_lost = [](const recorded_claim::fate& fate) { return fate.lost == 1; };
    for (const auto& [who, claim] :
         {std::pair(&ann, held), std::pair(&ann, later), std::pair(&bob, waiting)}) {
        EXPECT_TRUE(wait_for(
            [&is_lost, &by = who, &its = claim] {
                static_cast<void>(by->session().renew(by->now() + 2s));
                return is_lost(its->seen());
            },
            20s));
    }
    EXPECT_EQ(held->seen().reason, loss_reason::replaced);
    EXPECT_EQ(waiting->seen().granted, 0);
    const auto again = ann.session().renew(ann.now() + 5s);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code(), errc::lost);

    member next(world, 30s);
    EXPECT_EQ(next.stand("other")->seen().granted, 1) << "a new session works with the new cluster";
}

} // namespace
} // namespace holdfast::etcd::testing
