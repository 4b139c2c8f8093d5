// A process is killed after each instruction of what it does in the segment, one run for every instruction;
// whoever lives on is served, and nothing is left.
//
// A run of the tests takes some instructions of each scenario, beginning at a random one; HOLDFAST_STEP=all
// takes every one, HOLDFAST_STEP=0/10 to 9/10 a tenth of them each.
#include "local/support.hpp"

#include "core/factory.hpp"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <thread>

#include <gmock/gmock.h>

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;

class told_claim final : public claim_events {
  public:
    told_claim(std::uint64_t number, std::uint32_t weight)
        : claim_events({.name = resource_name::make("name").value(),
                        .id = {.session = {6}, .number = number},
                        .weight = weight,
                        .capacity = lock_capacity}) {}
    void on_waiting() noexcept override {}
    void on_granted(token granted) noexcept override { given = granted.value(); }
    void on_refused(error) noexcept override {}
    void on_renewed(instant) noexcept override {}
    void on_lost(loss_reason) noexcept override {}
    void on_removed(result<void>) noexcept override {}

    std::atomic<std::uint64_t> given{0};
};

/// A child that is traced; it stands still whenever we look.
class stepped {
  public:
    stepped(const std::string& folder, const std::string& scenario) {
        pid_ = fork();
        if (pid_ == 0) {
            ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
            execl(LOCAL_STEP_WORKER, LOCAL_STEP_WORKER, folder.c_str(), scenario.c_str(), nullptr);
            _exit(127);
        }
        stops_with(SIGTRAP); // At its start.
    }
    ~stepped() { kill(); }
    stepped(const stepped&) = delete;
    stepped& operator=(const stepped&) = delete;

    /// Lets it run to its next mark.
    bool to_mark() {
        ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
        return stops_with(SIGSTOP);
    }
    /// One instruction. false: it has come to its next mark.
    bool step() {
        ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
        return stops_with(SIGTRAP);
    }
    void kill() {
        if (!gone_) {
            ::kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
            gone_ = true;
        }
    }

  private:
    bool stops_with(int signal) {
        int status = 0;
        if (waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status)) {
            gone_ = true;
            return false;
        }
        return WSTOPSIG(status) == signal;
    }
    pid_t pid_ = 0;
    bool gone_ = false;
};

class stepping : public ::testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        core::store_config config;
        config.url.scheme = "local";
        config.url.path = folder_.path().string();
        store_ = core::make_store(config).value();
        session_ = store_->open({.id = {6}, .ttl = 600s, .who = {}}, soon()).value();
    }
    std::shared_ptr<told_claim> stand(std::uint32_t weight = lock_capacity) {
        auto made = std::make_shared<told_claim>(++number_, weight);
        session_->append(made, false);
        return made;
    }
    bool granted(const std::shared_ptr<told_claim>& claim) {
        return wait_for(
            [&] {
                claim->place.reset();
                if (claim->given.load() == 0) {
                    session_->drive(*claim, now(clock_source::monotonic) + 20ms);
                }
                return claim->given.load() != 0;
            },
            patience);
    }

    std::size_t claims() {
        return store_->show(resource_name::make("name").value(), soon()).value().claims.size();
    }

    /// Runs the scenario and kills after so many instructions; how many it took when it got to its end.
    std::size_t run(std::size_t kill_after) {
        const std::string scenario = GetParam();
        std::vector<std::shared_ptr<told_claim>> ours;
        stepped worker(folder_.path().string(), scenario);
        if (!worker.to_mark()) {
            ADD_FAILURE() << "the worker did not begin";
            return 0;
        }
        std::jthread lets_go;
        if (scenario == "contended") {
            ours.push_back(stand());
        } else if (scenario.starts_with("granted")) {
            lets_go = std::jthread([&, first = stand()](const std::stop_token& over) {
                while (!over.stop_requested() && claims() < 2) {
                    std::this_thread::yield();
                }
                session_->remove(first);
            });
        } else if (scenario == "repair") {
            holder victim(folder_.path().string(), "name", 600000ms);
            EXPECT_NE(victim.token(), 0U);
            victim.process().kill();
        } else if (scenario == "hand_over") {
            ours = {stand(1), stand(1), stand(1), stand()};
        } else if (scenario == "hand_over_to_one") {
            ours = {stand()};
        } else if (scenario == "hand_over_to_two") {
            ours = {stand(), stand()};
        }
        std::size_t count = 0;
        while (count < kill_after && worker.step()) {
            ++count;
        }
        worker.kill();
        lets_go = {}; // Stops and joins.
        // Whatever it left, everybody is served, in order.
        ours.push_back(stand());
        std::size_t served = 0;
        for (const auto& each : ours) {
            if (each->claim().weight == lock_capacity) { // It comes after those before it have left.
                for (std::size_t i = 0; i < served; ++i) {
                    session_->remove(ours[i]);
                }
            }
            EXPECT_TRUE(granted(each)) << "killed after " << count << " instructions";
            EXPECT_GT(each->given.load(), last_token_) << "killed after " << count << " instructions";
            last_token_ = each->given.load();
            ++served;
        }
        session_->remove(ours.back());
        return count;
    }

    temp_dir folder_{"holdfast-step"};
    std::unique_ptr<store> store_;
    std::shared_ptr<store_session> session_;
    std::uint64_t number_ = 0;
    std::uint64_t last_token_ = 0;
};

TEST_P(stepping, a_kill_after_any_instruction_harms_nobody) {
    constexpr std::size_t longest = 2'000'000; // Far more than any scenario needs.
    const std::size_t all = run(longest);
    ASSERT_GT(all, 10U);
    ASSERT_LT(all, longest);
    RecordProperty("instructions", static_cast<int>(all));
    // "all", or a share of them such as 3/10: every tenth instruction, from the third on.
    const char* const asked = std::getenv("HOLDFAST_STEP");
    const bool every_one = asked != nullptr;
    const std::string share = every_one ? asked : "";
    const auto slash = share.find('/');
    const bool shared_out = slash != std::string::npos;
    const std::size_t stride = !every_one   ? std::max<std::size_t>(all / 20, 1)
                               : shared_out ? std::stoul(share.substr(slash + 1))
                                            : 1;
    const auto seed = std::random_device{}();
    std::mt19937 random(seed);
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::vector<std::size_t> points;
    const std::size_t first = shared_out ? std::stoul(share) % stride : random() % stride;
    for (std::size_t after = first; after < all; after += stride) {
        points.push_back(after);
    }
    if (!every_one) { // A slow machine takes fewer of them, from everywhere.
        std::shuffle(points.begin(), points.end(), random);
    }
    const auto begun = std::chrono::steady_clock::now();
    for (const std::size_t after : points) {
        run(after);
        if (HasFailure() || (!every_one && std::chrono::steady_clock::now() - begun > 15s)) {
            break;
        }
    }
    session_.reset();
    store_.reset();
    EXPECT_THAT(left_overs(folder_.path()), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(every, stepping,
                         ::testing::Values("free", "contended", "granted", "granted_by_path", "hand_over",
                                           "hand_over_to_one", "hand_over_to_two", "repair", "registration"),
                         [](const auto& named) { return named.param; });

} // namespace
} // namespace holdfast::testing
