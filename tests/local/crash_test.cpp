// Processes are killed at random instants while they use the store; an independent checker reads what the
// others saw.
#include "local/journal.hpp"
#include "local/support.hpp"

#include <csignal>
#include <cstdlib>
#include <random>

#include <gmock/gmock.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;

struct storm {
    std::string name;
    int permits; ///< 0: a mutex
    int processes;
    int threads;
};

void PrintTo(const storm& which, std::ostream* out) {
    *out << which.name;
}

class crash : public ::testing::TestWithParam<storm> {
  protected:
    std::unique_ptr<child_process> start_worker() {
        const storm& how = GetParam();
        // A TTL longer than the test: only a noticed death may free what a killed process held.
        return std::make_unique<child_process>(
            std::vector<std::string>{LOCAL_WORKER, "hammer", folder_.path().string(), journal_file().string(),
                                     "name", std::to_string(how.permits), "60000",
                                     std::to_string(how.threads)},
            process_options{.out = redirect::pipe(), .input_pipe = true});
    }
    std::filesystem::path journal_file() const { return folder_ / "journal"; }

    temp_dir folder_{"holdfast-crash"};
};

TEST_P(crash, kills_at_random_leave_exclusion_tokens_and_segment_whole) {
    const storm& how = GetParam();
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    journal notes(journal_file());
    std::map<pid_t, std::int64_t> killed_at;

    std::vector<std::unique_ptr<child_process>> workers;
    for (int i = 0; i < how.processes; ++i) {
        workers.push_back(start_worker());
    }
    // Four seconds are enough for hundreds of kills; a slow build on a busy machine gets longer for its few.
    // HOLDFAST_KILLS asks for so many in each storm, however long that takes.
    const char* const asked = std::getenv("HOLDFAST_KILLS");
    const auto begun = std::chrono::steady_clock::now();
    const auto going_on = [&] {
        if (asked != nullptr) {
            return killed_at.size() < std::stoul(asked);
        }
        const auto passed = std::chrono::steady_clock::now() - begun;
        return passed < 4s || (killed_at.size() < 20 && passed < 20s);
    };
    while (going_on()) {
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 12000));
        auto& victim = workers[random() % workers.size()];
        // One that has not come far is killed too: opening must be as safe as the rest.
        killed_at[victim->pid()] = monotonic_ns();
        victim->kill();
        victim = start_worker();
    }
    for (auto& worker : workers) {
        ASSERT_TRUE(worker->read_line(patience)) << "a worker did not get ready";
        worker->close_input();
    }
    for (auto& worker : workers) {
        const auto status = worker->wait(patience);
        ASSERT_TRUE(status) << "a worker hangs";
        EXPECT_TRUE(status->ok()) << "code " << status->code << " signal " << status->signal;
    }
    const auto holds = notes.holds(killed_at);
    RecordProperty("kills", static_cast<int>(killed_at.size()));
    RecordProperty("holds", static_cast<int>(holds.size()));
    EXPECT_GT(holds.size(), 100U);
    EXPECT_GE(killed_at.size(), 5U);
    EXPECT_THAT(violations(holds, static_cast<std::size_t>(std::max(how.permits, 1))), IsEmpty());
    EXPECT_THAT(left_overs(folder_.path()), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(every, crash,
                         ::testing::Values(storm{"mutex", 0, 4, 2}, storm{"semaphore", 3, 4, 2},
                                           storm{"many_processes", 0, 12, 1}),
                         [](const auto& named) { return named.param.name; });

} // namespace
} // namespace holdfast::testing
