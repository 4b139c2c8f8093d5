// What a forked child inherits, on every store: each face says so at once, no hold is valid, and nothing that
// the child does with it reaches the parent's locks.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <optional>
#include <system_error>

#include <sys/wait.h>
#include <unistd.h>

#include "contract/face_test.hpp"
#include "support/detached.hpp"
#include "support/wait_for.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

/// What the child finds. It must not use GoogleTest, whose state is the parent's.
class findings {
  public:
    void expect(bool holds, const char* what) {
        if (!holds) {
            ++failed_;
            dprintf(STDERR_FILENO, "in the child: not so: %s\n", what);
        }
    }
    template <typename T>
    void misuse(const result<T>& outcome, const char* what) {
        expect(code_of(outcome) == errc::misuse, what);
    }
    template <typename Call>
    void throws_misuse(Call call, const char* what) {
        try {
            call();
            expect(false, what);
        } catch (const std::system_error& thrown) {
            expect(thrown.code() == errc::misuse, what);
        }
    }
    int failed() const { return failed_; }

  private:
    int failed_ = 0;
};

/// Long enough for a loaded machine, and too short for anything that waits for the store: its limits below
/// are a minute.
constexpr unsigned child_bound_s = 20;
constexpr auto never_waited_for = 60s;

/// Runs the body in a forked child, and ends the child without destructors: what it keeps is the parent's.
void in_child(const std::function<void(findings&)>& body) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        alarm(child_bound_s); // A call that waits for threads that the child does not have ends here.
        findings found;
        body(found);
        _exit(std::min(found.failed(), 100));
    }
    int status = 0;
    while (waitpid(child, &status, 0) != child) {
        ASSERT_EQ(errno, EINTR);
    }
    ASSERT_FALSE(WIFSIGNALED(status))
        << "ended by signal " << WTERMSIG(status) << " (14: a call did not return)";
    EXPECT_EQ(WEXITSTATUS(status), 0) << "see what the child wrote";
}

detached acquire_in_coroutine(mutex face, std::optional<errc>& into) {
    auto outcome = co_await face.acquire_async();
    into = code_of(outcome);
}

detached release_in_coroutine(held taken, std::optional<errc>& into) {
    const auto outcome = co_await release_async(std::move(taken));
    into = code_of(outcome);
}

class forked_child : public face_test {
  protected:
    locks connect_patiently() {
        return connect({.op_timeout = never_waited_for, .release_timeout = never_waited_for});
    }
    /// The parent's hold as it was: valid, alone in line, and to be released.
    static void expect_whole(const locks& by, held& mine, const std::string& name) {
        EXPECT_GT(mine.valid_for(), 0s);
        EXPECT_EQ(mine.reason(), loss_reason::none);
        const auto line = by.show(name).value();
        ASSERT_EQ(line.claims.size(), 1U) << name;
        EXPECT_TRUE(line.claims.front().holds);
        EXPECT_FALSE(line.claims.front().stale);
        EXPECT_TRUE(mine.release());
        EXPECT_TRUE(by.mutex(name).try_acquire()) << "the session goes on";
    }
};

TEST_P(forked_child, every_face_says_at_once_that_it_was_inherited) {
    const auto by = connect_patiently();
    auto free = by.mutex(fresh("free"));
    auto taken = by.mutex(fresh("taken"));
    auto shared = by.shared_mutex(fresh("shared"));
    auto permits = by.semaphore(fresh("permits"), 3);
    auto mine = taken.acquire().value();
    in_child([&](findings& child) {
        for (auto* face : {&free, &taken}) {
            child.misuse(face->acquire(), "mutex::acquire");
            child.misuse(face->try_acquire(), "mutex::try_acquire");
            child.misuse(face->try_acquire_for(never_waited_for), "mutex::try_acquire_for");
            child.throws_misuse([&] { face->lock(); }, "mutex::lock");
            child.throws_misuse([&] { static_cast<void>(face->try_lock()); }, "mutex::try_lock");
            face->unlock(); // Of nothing.
        }
        child.misuse(shared.acquire(), "shared_mutex::acquire");
        child.misuse(shared.acquire_shared(), "shared_mutex::acquire_shared");
        child.misuse(shared.try_acquire_shared(), "shared_mutex::try_acquire_shared");
        child.throws_misuse([&] { shared.lock_shared(); }, "shared_mutex::lock_shared");
        child.misuse(permits.acquire(2), "semaphore::acquire");
        child.misuse(permits.try_acquire(), "semaphore::try_acquire");
        child.misuse(acquire_all(free, taken, permits), "acquire_all");
        bool worked = false;
        child.misuse(by.run_while_held(fresh("free"), [&](const std::stop_token&) { worked = true; }),
                     "run_while_held");
        child.expect(!worked, "the work was not begun");
        child.misuse(by.mutex(fresh("new")).acquire(), "a face that the child made of inherited locks");
    });
    for (const char* untouched : {"free", "shared", "permits", "new"}) {
        EXPECT_EQ(in_line(by, fresh(untouched)), 0U) << untouched;
    }
    expect_whole(by, mine, fresh("taken"));
}

TEST_P(forked_child, what_is_asynchronous_completes_inside_the_call) {
    const auto by = connect_patiently();
    auto face = by.mutex(fresh());
    auto permits = by.semaphore(fresh("permits"), 3);
    std::atomic<bool> done{false}; // So that the library has its thread in the parent, and it rests.
    face.async_acquire({}, [&](result<held> outcome) {
        static_cast<void>(outcome.value().release());
        done = true;
    });
    ASSERT_TRUE(wait_for([&] { return done.load(); }, 20s));
    auto mine = face.acquire().value();
    in_child([&](findings& child) {
        std::optional<errc> code;
        const auto note = [&](const result<held>& outcome) { code = code_of(outcome); };
        face.async_acquire({}, note);
        child.expect(code == errc::misuse, "mutex::async_acquire");
        code.reset();
        permits.async_acquire(1, {.limit = never_waited_for}, note);
        child.expect(code == errc::misuse, "semaphore::async_acquire");
        code.reset();
        acquire_in_coroutine(face, code);
        child.expect(code == errc::misuse, "co_await acquire_async");
        code.reset();
        release_in_coroutine(std::move(mine), code);
        child.expect(code == errc::lost, "co_await release_async");
    });
    expect_whole(by, mine, fresh());
}

TEST_P(forked_child, an_inherited_hold_is_lost_and_the_parents_stays) {
    const auto by = connect_patiently();
    auto kept = by.mutex(fresh("kept"));
    kept.lock();
    auto mine = by.mutex(fresh()).acquire().value();
    auto dropped = by.mutex(fresh("dropped")).acquire().value();
    in_child([&](findings& child) {
        child.expect(mine.valid_for() == 0s, "held::valid_for");
        child.expect(mine.is_lost(), "held::is_lost");
        child.expect(mine.reason() == loss_reason::forked, "held::reason");
        child.expect(kept.current().valid_for() == 0s, "current().valid_for");
        child.expect(code_of(mine.release()) == errc::lost, "held::release");
        kept.unlock();
        { const held goes = std::move(dropped); } // The destructor's release.
    });
    EXPECT_GT(kept.current().valid_for(), 0s);
    kept.unlock();
    expect_whole(by, dropped, fresh("dropped"));
    expect_whole(by, mine, fresh());
}

TEST_P(forked_child, dropping_the_inherited_connection_ends_nothing) {
    std::optional<locks> by = connect_patiently();
    auto mine = by->mutex(fresh()).acquire().value();
    in_child([&](findings& child) {
        { const held goes = std::move(mine); }
        by.reset();
        child.expect(true, "destructors return");
    });
    expect_whole(*by, mine, fresh());
}

TEST_P(forked_child, an_inherited_election_neither_campaigns_nor_tells_nor_proclaims) {
    const auto by = connect_patiently();
    auto office = by.election(fresh());
    auto other = by.election(fresh("free"));
    auto leads = office.campaign("parent").value();
    in_child([&](findings& child) {
        child.misuse(office.campaign("child"), "election::campaign");
        child.misuse(other.campaign("child"), "election::campaign for a free name");
        child.misuse(other.try_campaign("child"), "election::try_campaign");
        child.misuse(office.leader(), "election::leader");
        child.misuse(office.observe([](const auto&) {}, {}), "election::observe");
        child.expect(code_of(leads.proclaim("child")) == errc::lost, "leadership::proclaim");
        child.expect(code_of(leads.resign()) == errc::lost, "leadership::resign");
    });
    EXPECT_EQ(in_line(by, fresh("free")), 0U);
    EXPECT_EQ(office.leader().value().value().proposal, "parent");
    EXPECT_TRUE(leads.proclaim("parent still"));
    EXPECT_EQ(office.leader().value().value().proposal, "parent still");
    EXPECT_TRUE(leads.resign());
}

TEST_P(forked_child, an_administrator_is_told_to_connect_again) {
    const auto by = connect_patiently();
    auto mine = by.mutex(fresh()).acquire().value();
    auto two = by.semaphore(fresh("permits"), 2).acquire(2).value();
    in_child([&](findings& child) {
        child.misuse(by.list(), "locks::list");
        child.misuse(by.show(fresh()), "locks::show");
        child.misuse(by.break_holds(fresh()), "locks::break_holds");
        child.misuse(by.resize(fresh("permits"), 3), "locks::resize");
        const auto found = by.diagnose();
        child.expect(found.size() == 1 && found.front().how == finding::severity::error, "locks::diagnose");
    });
    EXPECT_EQ(by.show(fresh("permits")).value().capacity, 2U);
    EXPECT_TRUE(two.release());
    expect_whole(by, mine, fresh());
}

TEST_P(forked_child, a_turn_that_a_thread_of_the_parent_has_is_not_waited_for) {
    const auto by = connect_patiently();
    auto in_turns = by.mutex(fresh(), {.local_hand_over = 50ms});
    auto mine = in_turns.acquire().value();
    in_child([&](findings& child) {
        child.misuse(in_turns.acquire(), "acquire where a thread of the parent's has the turn");
        child.misuse(in_turns.try_acquire(), "try_acquire there");
        child.misuse(in_turns.try_acquire_for(never_waited_for), "try_acquire_for there");
        child.expect(mine.valid_for() == 0s && mine.reason() == loss_reason::forked, "the borrowed hold");
        child.expect(code_of(mine.release()) == errc::lost, "its release");
        child.misuse(in_turns.acquire(), "acquire after that release");
    });
    expect_whole(by, mine, fresh());
    EXPECT_TRUE(in_turns.acquire());
}

INSTANTIATE_TEST_SUITE_P(every, forked_child, ::testing::ValuesIn(all_worlds()), world_name);

} // namespace
} // namespace holdfast::testing
