// The comparison in a transaction of the caller's own, on a real etcd; the caller is etcdctl.
#include <gtest/gtest.h>

#include <holdfast/guard.hpp>
#include <holdfast/holdfast.hpp>

#include "guards/code_of.hpp"
#include "support/process.hpp"
#include "support/servers.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class etcd_guards : public ::testing::Test {
  protected:
    std::vector<std::string> etcdctl(std::vector<std::string> words, std::string input = {}) {
        words.insert(words.begin(), {"etcdctl", "--endpoints", server.endpoint()});
        child_process client(
            words, {.env = {{"ETCDCTL_API", "3"}}, .out = redirect::pipe(), .input = std::move(input)});
        std::vector<std::string> lines;
        while (auto line = client.read_line(20s)) {
            lines.push_back(*line);
        }
        const auto ended = client.wait(20s);
        EXPECT_TRUE(ended && ended->ok());
        return lines;
    }
    /// Writes data = value if the comparison holds.
    result<void> write(const etcd_fence& guard, const std::string& value) {
        const auto answer =
            etcdctl({"txn"}, "create(\"" + guard.key + "\") = \"" + std::to_string(guard.create_revision) +
                                 "\"\n\nput data " + value + "\n\n\n");
        EXPECT_FALSE(answer.empty());
        return judge_etcd(!answer.empty() && answer.front() == "SUCCESS");
    }
    std::string data() {
        const auto lines = etcdctl({"get", "data", "--print-value-only"});
        return lines.empty() ? "" : lines.front();
    }

    etcd_server server;
    locks ann = connect(server.url());
    locks bob = connect(server.url());
};

TEST_F(etcd_guards, a_transaction_of_a_stale_holder_changes_nothing) {
    auto first = ann.mutex("x").acquire().value();
    const auto early = guard_etcd(first).value();
    EXPECT_FALSE(early.key.empty());
    EXPECT_EQ(code_of(write(early, "one")), std::nullopt);
    EXPECT_EQ(code_of(write(early, "two")), std::nullopt) << "the same holder writes again";
    EXPECT_TRUE(first.release());
    EXPECT_EQ(code_of(write(early, "stale")), errc::lost);
    auto second = bob.mutex("x").acquire().value();
    const auto late = guard_etcd(second).value();
    EXPECT_GT(late.create_revision, early.create_revision);
    EXPECT_EQ(code_of(write(early, "stale")), errc::lost);
    EXPECT_EQ(data(), "two");
    EXPECT_EQ(code_of(write(late, "three")), std::nullopt);
    EXPECT_EQ(data(), "three");
}

TEST_F(etcd_guards, a_leadership_fences_as_a_lock_does_and_readers_and_permits_do_not) {
    const auto leads = ann.election("x").campaign("me").value();
    EXPECT_EQ(code_of(write(guard_etcd(leads).value(), "led")), std::nullopt);
    EXPECT_EQ(code_of(guard_etcd(ann.shared_mutex("y").acquire_shared().value())), errc::misuse);
    EXPECT_EQ(code_of(guard_etcd(ann.semaphore("z", 2).acquire().value())), errc::misuse);
}

} // namespace
} // namespace holdfast::testing
