// What a forked child inherits is dead in it, and stays whole for the parent.
#include "local/support.hpp"

#include <algorithm>
#include <csignal>

#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

/// Runs the body in a forked child; true when it returned true.
template <typename Body>
bool in_child(Body body) {
    const pid_t child = fork();
    if (child == 0) {
        _exit(body() ? 0 : 1);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class silent_claim final : public claim_events {
  public:
    using claim_events::claim_events;
    void on_waiting() noexcept override {}
    void on_granted(token granted) noexcept override { given = granted; }
    void on_refused(error) noexcept override { refused = true; }
    void on_renewed(instant) noexcept override {}
    void on_lost(loss_reason why) noexcept override { lost = why; }
    void on_removed(result<void> outcome) noexcept override { removed = outcome.has_value(); }

    token given;
    bool refused = false;
    loss_reason lost = loss_reason::none;
    bool removed = false;
};

class forked : public ::testing::Test {
  protected:
    void SetUp() override {
        store_ = local_store(folder_.path().string());
        session_ = store_->open({.id = {1}, .ttl = 10s, .who = {}}, soon()).value();
    }
    std::shared_ptr<silent_claim> claim_number(std::uint64_t number) {
        return std::make_shared<silent_claim>(claim{.name = resource_name::make("name").value(),
                                                    .id = {.session = {1}, .number = number},
                                                    .weight = lock_capacity,
                                                    .capacity = lock_capacity});
    }
    bool still_held() {
        const auto all = store_->list(soon());
        return all && all->size() == 1 && all->front().claims.size() == 1 &&
               !all->front().claims.front().stale;
    }

    temp_dir folder_{"holdfast-fork"};
    std::unique_ptr<store> store_;
    std::shared_ptr<store_session> session_;
};

TEST_F(forked, a_child_cannot_remove_its_parents_claim) {
    const auto held = claim_number(1);
    session_->append(held, false);
    ASSERT_NE(held->given.value(), 0U);
    EXPECT_TRUE(in_child([&] {
        session_->remove(held);
        return held->removed;
    }));
    EXPECT_TRUE(still_held());
}

TEST_F(forked, a_child_that_destroys_the_session_ends_nothing) {
    const auto held = claim_number(1);
    session_->append(held, false);
    EXPECT_TRUE(in_child([&] {
        session_->close(soon());
        session_.reset();
        store_.reset();
        return true;
    }));
    EXPECT_TRUE(still_held());
    EXPECT_TRUE(session_->renew(soon()));
}

TEST_F(forked, a_child_gets_nothing_through_its_parents_session) {
    EXPECT_TRUE(in_child([&] {
        const auto asked = claim_number(1);
        session_->append(asked, false);
        return asked->given.value() == 0 && asked->lost == loss_reason::forked;
    }));
    EXPECT_TRUE(in_child([&] { return session_->renew(soon()).error().code() == errc::lost; }));
    const auto all = store_->list(soon());
    ASSERT_TRUE(all);
    EXPECT_TRUE(all->empty());
}

TEST_F(forked, a_child_has_no_fast_path) {
    const auto fast = session_->fast(claim_number(1)->claim());
    ASSERT_NE(fast, nullptr);
    std::uint64_t ticket = 0;
    ASSERT_NE(fast->try_acquire(ticket).value(), 0U);
    EXPECT_TRUE(in_child([&] {
        fast->remove(ticket);
        std::uint64_t other = 0;
        return !fast->holds(ticket) && !fast->release(ticket) && fast->try_acquire(other).value() == 0;
    }));
    EXPECT_TRUE(fast->holds(ticket));
    EXPECT_TRUE(fast->release(ticket));
}

TEST_F(forked, a_child_that_lives_on_does_not_keep_its_dead_parents_hold) {
    // The parent here is a child of the test: it holds, forks, and dies, while its own child goes on.
    int alive[2];
    ASSERT_EQ(pipe(alive), 0);
    const pid_t parent = fork();
    if (parent == 0) {
        // Nothing of the test's own store may be used here: this is a new process as far as Holdfast is
        // concerned.
        execl(LOCAL_WORKER, LOCAL_WORKER, "forking_hold", folder_.path().c_str(), "name",
              std::to_string(alive[1]).c_str(), "60000", nullptr);
        _exit(127);
    }
    close(alive[1]);
    char pids[64] = {};
    ASSERT_GT(read(alive[0], pids, sizeof pids - 1), 0);
    int status = 0;
    ASSERT_EQ(waitpid(parent, &status, 0), parent);
    const auto next = claim_number(1);
    session_->append(next, false);
    EXPECT_TRUE(wait_for(
        [&] {
            session_->drive(*next, now(clock_source::monotonic) + 5ms);
            return next->given.value() != 0;
        },
        5s));
    // Nor its place: whoever opens a session takes it back.
    const auto another = store_->open({.id = {8}, .ttl = 60s, .who = {}}, soon()).value();
    const auto opened = local::open_segment(folder_.path().string(), soon());
    ASSERT_TRUE(opened);
    const auto& slots = (*opened)->data().slots;
    EXPECT_EQ(std::count_if(slots.begin(), slots.end(),
                            [](const auto& each) {
                                return local::state_of(each.session.load()) != local::session_state::free;
                            }),
              2)
        << "ours, and no third one";
    ::kill(static_cast<pid_t>(std::stol(pids)), SIGKILL);
    close(alive[0]);
}

} // namespace
} // namespace holdfast::testing
