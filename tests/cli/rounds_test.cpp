// No instruction of the old command after the next holder's first, whatever happens to its keeper or its
// server.
//
// Each round has a name of its own: an old holder whose command notes again and again when it runs, a next
// holder that already waits and notes when it begins, and something that happens to the old one. All times
// are of one clock. HOLDFAST_ROUNDS sets how many rounds there are of each kind; the target cli_rounds runs
// 200.
#include "command.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "support/servers.hpp"
#include "support/wait_for.hpp"

namespace holdfast::cli {
namespace {

using holdfast::testing::child_process;
using holdfast::testing::etcd_server;
using holdfast::testing::redis_server;
using holdfast::testing::server_process;
using holdfast::testing::wait_for;
using nlohmann::json;

int wanted_rounds() {
    const char* text = std::getenv("HOLDFAST_ROUNDS");
    return text == nullptr ? 4 : std::max(1, std::atoi(text));
}

constexpr int at_once = 8;

class rounds : public command_test, public ::testing::WithParamInterface<std::string> {
  protected:
    enum class fault { keeper_killed, keeper_stopped, server_stopped, none };

    struct round {
        std::string name;
        std::vector<std::string> old_notes; ///< One a process of the old command.
        std::string next_note;
        std::unique_ptr<child_process> old;
        std::unique_ptr<child_process> next;
    };

    void SetUp() override {
        if (GetParam() == "etcd") {
            auto server = std::make_unique<etcd_server>();
            url_ = server->url();
            server_ = std::move(server);
        } else if (GetParam() == "redis") {
            auto server = std::make_unique<redis_server>();
            url_ = server->url();
            server_ = std::move(server);
        } else {
            url_ = url();
        }
    }

    bool on_server() const { return server_ != nullptr; }

    void play(fault what, const words& modes) {
        const int all = wanted_rounds();
        for (int done = 0; done < all && !HasFailure(); done += at_once) {
            play_batch(done, std::min(at_once, all - done), what, modes);
        }
        RecordProperty("decided", decided_);
        EXPECT_GE(decided_ * 4, all * 3) << "the machine was too busy: too many holds were lost on the way";
    }

  private:
    words run_options(const std::string& name) const {
        // Room for a busy machine: the guard must run within the margin.
        return {"run", "--url", url_, "--ttl", "3s", "--kill-after", "200ms", "--margin", "1s", name};
    }

    std::unique_ptr<child_process> start(const std::string& name, const words& command) const {
        words arguments = run_options(name);
        arguments.insert(arguments.end(), command.begin(), command.end());
        auto how = surroundings();
        how.err = holdfast::testing::redirect::file(said(name));
        return std::make_unique<child_process>(holdfast(arguments), how);
    }

    /// What both holders of a round say is kept, for the message should it fail.
    std::string said(const std::string& name) const { return file(name + ".err"); }

    std::string all_said(const std::vector<round>& batch) const {
        std::string text;
        for (const round& one : batch) {
            text += one.name + ": " + contents(one.name + ".err") + "\n";
        }
        return text;
    }

    /// 0 as long as nothing was noted.
    std::int64_t note(const std::string& path) const {
        std::ifstream in(path, std::ios::binary);
        std::int64_t value = 0;
        in.read(reinterpret_cast<char*>(&value), sizeof value);
        return in ? value : 0;
    }

    bool have_begun(const round& one) const {
        return std::all_of(one.old_notes.begin(), one.old_notes.end(),
                           [this](const std::string& path) { return note(path) != 0; });
    }

    std::size_t waiting() const {
        const json listed = json::parse(run({"ls", "--json", "--url", url_}).out, nullptr, false);
        std::size_t count = 0;
        for (const json& resource : listed.is_discarded() ? json::array() : listed["resources"]) {
            for (const json& claim : resource["claims"]) {
                count += claim["holds"] == false ? 1 : 0;
            }
        }
        return count;
    }

    static std::size_t still_held(const std::vector<round>& batch) {
        return static_cast<std::size_t>(
            std::count_if(batch.begin(), batch.end(), [](const round& one) { return one.old->running(); }));
    }

    void play_batch(int first, int count, fault what, const words& modes) {
        const bool is_tree = std::find(modes.begin(), modes.end(), "tree") != modes.end();
        std::vector<round> batch(static_cast<std::size_t>(count));
        for (int index = 0; index < count; ++index) {
            round& one = batch[static_cast<std::size_t>(index)];
            one.name = "n" + std::to_string(first + index);
            one.old_notes = {file(one.name + ".old")};
            if (is_tree) {
                one.old_notes.push_back(one.old_notes.front() + ".2");
            }
            one.next_note = file(one.name + ".next");
            words command{STAMPER, "last", one.old_notes.front()};
            command.insert(command.end(), modes.begin(), modes.end());
            one.old = start(one.name, command);
        }
        for (round& one : batch) {
            ASSERT_TRUE(wait_for([&] { return have_begun(one) || !one.old->running(); }, bound))
                << one.name << " runs and has not begun: " << contents(one.name + ".err");
            one.next = start(one.name, {STAMPER, "first", one.next_note});
        }
        if (what != fault::none) { // Else the old one ends by itself, and may have ended already.
            ASSERT_TRUE(wait_for([&] { return waiting() >= still_held(batch); }, bound)) << all_said(batch);
        }
        happen(what, batch);
        for (round& one : batch) {
            const auto next = one.next->wait(2 * bound);
            ASSERT_TRUE(next) << one.name;
            // On a machine that stands still for a second the next hold is lost as well, and its command
            // ended.
            EXPECT_TRUE(next->code == 0 || next->code == 79) << one.name << contents(one.name + ".err");
            decided_ += next->code == 0 && have_begun(one) ? 1 : 0;
        }
        for (round& one : batch) {
            if (what == fault::keeper_stopped) {
                one.old->signal(SIGCONT);
            }
            const auto old = one.old->wait(bound);
            ASSERT_TRUE(old) << one.name;
            if (what == fault::keeper_stopped || what == fault::server_stopped) {
                EXPECT_EQ(old->code, 79) << one.name;
            }
            const std::int64_t begun = note(one.next_note);
            if (begun == 0) {
                continue; // Its hold was lost before its command ran.
            }
            for (const std::string& path : one.old_notes) {
                EXPECT_LT(note(path), begun) << path << ": the old command ran "
                                             << (note(path) - begun) / 1000 << " us into the next hold";
            }
        }
    }

    void happen(fault what, std::vector<round>& batch) {
        if (what == fault::server_stopped) {
            server_->signal(SIGSTOP);
            // Until no old command can be running any more; the next ones hold once it goes on.
            for (round& one : batch) {
                ASSERT_TRUE(one.old->wait(bound)) << one.name;
            }
            server_->signal(SIGCONT);
            return;
        }
        for (round& one : batch) {
            if (what == fault::keeper_killed) {
                one.old->signal(SIGKILL);
            } else if (what == fault::keeper_stopped) {
                one.old->signal(SIGSTOP);
            }
        }
    }

    std::unique_ptr<server_process> server_;
    std::string url_;
    int decided_ = 0; ///< Rounds in which both commands ran.
};

TEST_P(rounds, a_killed_keepers_child_and_grandchild_are_dead_before_the_next_begins) {
    play(fault::keeper_killed, {"tree"});
}

TEST_P(rounds, a_killed_keepers_child_that_ignores_term_is_dead_before_the_next_begins) {
    play(fault::keeper_killed, {"ignore", "tree"});
}

TEST_P(rounds, a_killed_keepers_daemon_is_dead_before_the_next_begins) {
    // Its parent stays: else the keeper would end the daemon and leave before anybody can kill it.
    play(fault::keeper_killed, {"ignore", "stay", "daemon"});
}

TEST_P(rounds, a_stopped_keepers_child_and_grandchild_are_dead_before_the_next_begins) {
    play(fault::keeper_stopped, {"tree"});
}

TEST_P(rounds, a_stopped_keepers_child_that_ignores_term_is_dead_before_the_next_begins) {
    play(fault::keeper_stopped, {"ignore", "tree"});
}

TEST_P(rounds, a_daemon_that_the_command_left_behind_is_dead_before_the_next_begins) {
    play(fault::none, {"ignore", "daemon"});
}

TEST_P(rounds, a_command_is_dead_before_the_next_begins_when_the_server_stood_still) {
    if (on_server()) {
        play(fault::server_stopped, {"ignore", "tree"});
    } else {
        SUCCEED() << "this store has no server";
    }
}

INSTANTIATE_TEST_SUITE_P(stores, rounds, ::testing::Values("local", "etcd", "redis"),
                         [](const auto& of) { return of.param; });

} // namespace
} // namespace holdfast::cli
