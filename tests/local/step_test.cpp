// A process is killed after each instruction of what it does in the segment, one run for every instruction
// that leaves something (see stepped.hpp); whoever lives on is served, and nothing is left.
//
// HOLDFAST_STEP=lasting takes all of those also on a slow machine; HOLDFAST_STEP=all kills after every
// instruction whatever, HOLDFAST_STEP=0/10 to 9/10 after a tenth of them each.
#include "local/stepped.hpp"
#include "local/support.hpp"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <thread>

#include <gmock/gmock.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;

constexpr auto time_to_spare = 8s;

class told_claim final : public claim_events {
  public:
    told_claim(std::uint64_t number, std::uint32_t weight, const std::string& name)
        : claim_events({.name = resource_name::make(name).value(),
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

class stepping : public ::testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        store_ = local_store(folder_.path().string());
        session_ = open(6);
        session_->remove(stand()); // The name is known from the start.
        memory_ = local::open_segment(folder_.path().string(), soon()).value();
        watched_ = std::make_unique<watched_segment>(*memory_, new_names());
    }
    bool new_names() const { return GetParam() == "new_name"; }

    std::shared_ptr<store_session> open(std::uint8_t id) {
        return store_->open({.id = {id}, .ttl = 600s, .who = {}}, soon()).value();
    }
    std::shared_ptr<told_claim> stand(std::uint32_t weight = lock_capacity) {
        auto made = std::make_shared<told_claim>(++number_, weight, name_);
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

    std::vector<claim_status> claims() {
        return store_->show(resource_name::make(name_).value(), soon()).value().claims;
    }

    /// Tokens rise, also that of a holder who died with it.
    void note_tokens_of_the_dead(std::uint64_t known) {
        for (const claim_status& each : claims()) {
            if (each.holds && each.stale && each.token != known) {
                EXPECT_GT(each.token, last_token_) << "of one who died";
                last_token_ = each.token;
            }
        }
    }

    /// Steps until it has done so many instructions, or only so many that leave something.
    struct steps {
        std::size_t all = 0;
        std::size_t lasting = 0;
    };
    steps step(stepped& worker, std::size_t most, std::size_t most_lasting) {
        const bool may_register = GetParam() == "registration" || GetParam() == "leaving";
        const bool look = most_lasting != unlimited;
        steps done;
        if (look) {
            static_cast<void>(watched_->changed());
        }
        auto lives = may_register && look ? worker.life_list() : std::vector<std::uintptr_t>();
        while (done.all < most && done.lasting < most_lasting) {
            if (!worker.step()) {
                break;
            }
            ++done.all;
            if (!look) {
                continue;
            }
            bool lasts = worker.was_system_call();
            lasts = watched_->changed() || lasts;
            if (may_register) {
                auto now = worker.life_list();
                lasts = lasts || now != lives;
                lives.swap(now);
            }
            done.lasting += lasts ? 1 : 0;
        }
        return done;
    }

    /// Runs the scenario and kills after so many instructions; how many it took when it got to its end.
    steps run(std::size_t most, std::size_t most_lasting) {
        const std::string scenario = GetParam();
        ++runs_;
        if (new_names()) {
            name_ = "name " + std::to_string(runs_);
        }
        std::vector<std::shared_ptr<told_claim>> ours;
        stepped worker({LOCAL_STEP_WORKER, folder_.path().string(), scenario, name_});
        if (!worker.to_mark()) {
            ADD_FAILURE() << "the worker did not begin";
            return {};
        }
        std::uint64_t victims_token = 0;
        std::jthread lets_go;
        if (scenario == "contended") {
            ours.push_back(stand());
        } else if (scenario.starts_with("granted")) {
            lets_go = std::jthread([&, first = stand()](const std::stop_token& over) {
                while (!over.stop_requested() && claims().size() < 2) {
                    std::this_thread::sleep_for(200us); // Its every step is much slower than this.
                }
                session_->remove(first);
            });
        } else if (scenario == "repair") {
            holder victim(folder_.path().string(), "name", 600000ms);
            victims_token = victim.token();
            EXPECT_GT(victims_token, last_token_);
            victim.process().kill();
        } else if (scenario == "hand_over") {
            ours = {stand(1), stand(1), stand(1), stand()};
        } else if (scenario == "hand_over_to_one" || scenario == "leaving") {
            ours = {stand()};
        } else if (scenario == "hand_over_to_two") {
            ours = {stand(), stand()};
        }
        const steps done = step(worker, most, most_lasting);
        SCOPED_TRACE("killed after " + std::to_string(done.all) + " instructions, " +
                     std::to_string(done.lasting) + " of them lasting");
        worker.kill();
        lets_go = {}; // Stops and joins.
        note_tokens_of_the_dead(victims_token);
        last_token_ = std::max(last_token_, victims_token);
        // Every other time two open a session first: one takes the place of the dead back, and the next one
        // gets it. And every other time those who wait are the ones to find out, not one who comes anew.
        const bool with_newcomers = runs_ % 2 == 0;
        const auto newcomer = with_newcomers ? open(7) : nullptr;
        const auto next_newcomer = with_newcomers ? open(8) : nullptr;
        const bool waiters_first = runs_ % 4 < 2 && !ours.empty();
        if (!waiters_first) {
            ours.push_back(stand());
        }
        // Whatever it left, everybody is served, in order.
        std::size_t served = 0;
        for (const auto& each : ours) {
            if (each->claim().weight == lock_capacity) { // It comes after those before it have left.
                for (std::size_t i = 0; i < served; ++i) {
                    session_->remove(ours[i]);
                }
            }
            EXPECT_TRUE(granted(each));
            EXPECT_GT(each->given.load(), last_token_);
            last_token_ = each->given.load();
            ++served;
        }
        session_->remove(ours.back());
        if (waiters_first) {
            ours.push_back(stand());
            EXPECT_TRUE(granted(ours.back()));
            last_token_ = ours.back()->given.load();
            session_->remove(ours.back());
        }
        return done;
    }

    void kill_at_every_point();

    static constexpr std::size_t unlimited = ~std::size_t{0};

    temp_dir folder_{"holdfast-step"};
    std::string name_ = "name";
    std::unique_ptr<store> store_;
    std::shared_ptr<store_session> session_;
    std::shared_ptr<local::segment> memory_;
    std::unique_ptr<watched_segment> watched_;
    std::uint64_t number_ = 0;
    std::uint64_t last_token_ = 0;
    std::size_t runs_ = 0;
};

void stepping::kill_at_every_point() {
    constexpr std::size_t longest = 2'000'000; // Far more than any scenario needs.
    const steps all = run(longest, longest);
    EXPECT_EQ(watched_->blind_spot(), "");
    ASSERT_GT(all.lasting, 1U);
    ASSERT_LT(all.all, longest);
    RecordProperty("instructions", static_cast<int>(all.all));
    RecordProperty("lasting", static_cast<int>(all.lasting));
    // "lasting": after each that leaves something, however long it takes. "all": after every one. A share of
    // them such as 3/10: every tenth instruction, from the third on.
    const char* const asked = std::getenv("HOLDFAST_STEP");
    const std::string share = asked == nullptr ? "" : asked;
    const bool lasting = asked == nullptr || share == "lasting";
    const auto slash = share.find('/');
    const bool shared_out = slash != std::string::npos;
    const std::size_t stride = shared_out ? std::stoul(share.substr(slash + 1)) : 1;
    const auto seed = std::random_device{}();
    std::mt19937 random(seed);
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::vector<std::size_t> points;
    const std::size_t end = lasting ? all.lasting + 1 : all.all;
    for (std::size_t after = shared_out ? std::stoul(share) % stride : 0; after < end; after += stride) {
        points.push_back(after);
    }
    if (asked == nullptr) { // A slow machine takes fewer of them, from everywhere.
        std::shuffle(points.begin(), points.end(), random);
    }
    const auto begun = std::chrono::steady_clock::now();
    std::size_t taken = 0;
    for (const std::size_t after : points) {
        lasting ? run(longest, after) : run(after, unlimited);
        ++taken;
        if (HasFailure() || (asked == nullptr && std::chrono::steady_clock::now() - begun > time_to_spare)) {
            break;
        }
    }
    RecordProperty("kills", static_cast<int>(taken));
    session_.reset();
    store_.reset();
    EXPECT_THAT(left_overs(folder_.path()), IsEmpty());
}

TEST_P(stepping, a_kill_after_any_instruction_harms_nobody) {
    // On a new thread: where a thread takes its cells and blocks from depends on what it has had before.
    std::thread([this] { kill_at_every_point(); }).join();
}

INSTANTIATE_TEST_SUITE_P(every, stepping,
                         ::testing::Values("free", "contended", "granted", "granted_by_path", "hand_over",
                                           "hand_over_to_one", "hand_over_to_two", "repair", "registration",
                                           "new_name", "leaving"),
                         [](const auto& named) { return named.param; });

} // namespace
} // namespace holdfast::testing
