// A server whose disk is full: etcd ends then, and is started again once there is room.
#include "etcd/one_server.hpp"

#include "support/small_disk.hpp"

#include <gmock/gmock.h>

namespace holdfast::etcd::testing {
namespace {

TEST(etcd_full_disk, grants_nothing_and_costs_no_hold_when_there_is_room_again_in_time) {
    // etcd's log takes 64 MiB a piece in advance.
    const holdfast::testing::small_disk disk(160);
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
    // Not sent, or sent into a connection whose end had not been seen yet.
    EXPECT_THAT(refused->seen().refusal->code(), ::testing::AnyOf(errc::unavailable, errc::unknown_outcome));
    EXPECT_EQ(held->seen().lost, 0) << "its lease has not ended";

    disk.make_room();
    server.start();
    EXPECT_TRUE(wait_for([&] { return ann.renew().has_value(); }, 20s));
    EXPECT_TRUE(wait_for([&] { return bob.renew().has_value(); }, 20s));
    const auto waiting = bob.stand("jobs");
    ASSERT_FALSE(waiting->seen().refusal) << waiting->seen().refusal->message();
    EXPECT_EQ(waiting->seen().granted, 0) << "the hold outlived the server";
    ann.leave(held);
    EXPECT_TRUE(bob.granted(waiting));
}

} // namespace
} // namespace holdfast::etcd::testing
