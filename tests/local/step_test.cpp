// A process is killed after each instruction of what it does in the segment, one run for every instruction
// that leaves something (see stepped.hpp); whoever lives on is served, and nothing is left.
//
// HOLDFAST_STEP=lasting takes all of those also on a slow machine; HOLDFAST_STEP=all kills after every
// instruction whatever, HOLDFAST_STEP=0/10 to 9/10 after a tenth of them each. These need not step to where
// they kill: the first run notes the way that it takes, and the others run to a place near the end of theirs.
#include "local/stepped.hpp"
#include "local/support.hpp"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <thread>

#include <gmock/gmock.h>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;

constexpr auto time_to_spare = 6s;

class told_claim final : public claim_events {
  public:
    told_claim(std::uint64_t number, std::uint32_t weight, std::uint32_t capacity, const std::string& name)
        : claim_events({.name = resource_name::make(name).value(),
                        .id = {.session = {6}, .number = number},
                        .weight = weight,
                        .capacity = capacity}) {}
    void on_waiting() noexcept override {}
    void on_granted(token granted) noexcept override { given = granted.value(); }
    void on_refused(error) noexcept override {}
    void on_renewed(instant) noexcept override {}
    void on_lost(loss_reason) noexcept override {}
    void on_removed(result<void>) noexcept override {}

    std::atomic<std::uint64_t> given{0};
};

/// A hold of ours by a thread's own way in.
struct own_way {
    std::shared_ptr<fast_path> path;
    std::uint64_t token = 0;
    std::uint64_t ticket = 0;

    void release() const {
        if (!path->release(ticket)) {
            path->remove(ticket);
        }
    }
};

/// The way that a run takes, as the addresses of its instructions.
class trace {
  public:
    void note(std::uintptr_t next) { all_.push_back(next); }
    bool knows(std::size_t instructions) const { return instructions > 0 && instructions <= all_.size(); }
    std::uintptr_t after(std::size_t instructions) const { return all_[instructions - 1]; }

    /// A place before the end of so many instructions from which the fewest are left, also counting how often
    /// the run comes there before.
    struct place {
        std::size_t instructions = 0;
        std::size_t times = 0;
    };
    place near(std::size_t instructions) const {
        place best;
        std::map<std::uintptr_t, std::size_t> times;
        std::size_t cost = instructions; // Of stepping all the way.
        for (std::size_t i = 0; i < instructions; ++i) {
            const std::size_t here = ++times[all_[i]];
            // One that repeats itself may count as one or as many.
            const bool repeats = i > 0 && all_[i] == all_[i - 1];
            const std::size_t needs = 2 * here + (instructions - i - 1);
            if (!repeats && all_[i] != 0 && needs < cost) {
                cost = needs;
                best = {i + 1, here};
            }
        }
        return best;
    }

  private:
    std::vector<std::uintptr_t> all_;
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
    bool permits() const { return GetParam().starts_with("permit"); }
    /// What one has to ask for to hold alone.
    std::uint32_t capacity() const { return permits() ? 3 : lock_capacity; }

    std::shared_ptr<told_claim> stand() { return stand(capacity()); }
    std::shared_ptr<told_claim> stand(std::uint32_t weight) {
        auto made = std::make_shared<told_claim>(++number_, weight, capacity(), name_);
        session_->append(made, false);
        return made;
    }
    own_way share() {
        own_way made;
        made.path = session_->fast(told_claim(0, 1, capacity(), name_).claim());
        made.token = made.path->try_acquire(made.ticket).value();
        EXPECT_GT(made.token, last_token_);
        last_token_ = std::max(last_token_, made.token);
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

    static constexpr std::size_t unlimited = ~std::size_t{0};

    /// How far a worker shall go: so many instructions, or only so many that leave something.
    struct distance {
        std::size_t all = unlimited;
        std::size_t lasting = unlimited;
    };
    distance step(stepped& worker, const distance& most) {
        const bool may_register = GetParam() == "registration" || GetParam() == "leaving";
        static_cast<void>(watched_->changed());
        auto lives = may_register ? worker.life_list() : std::vector<std::uintptr_t>();
        distance done{0, 0};
        while (done.all < most.all && done.lasting < most.lasting && worker.step()) {
            ++done.all;
            if (first_run()) {
                way_.note(worker.at());
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
    /// Goes so many instructions without a look at what they leave; by the way of the first run, if it is
    /// known. Nothing: it has not come to where that one was.
    std::optional<distance> go(stepped& worker, std::size_t instructions, bool by_known_way) {
        std::size_t done = 0;
        if (by_known_way) {
            const trace::place near = way_.near(instructions);
            if (near.times > 0 && !worker.run_to(way_.after(near.instructions), near.times)) {
                return std::nullopt;
            }
            done = near.times > 0 ? near.instructions : 0;
        }
        while (done < instructions && worker.step()) {
            ++done;
        }
        if (by_known_way && (done < instructions || worker.at() != way_.after(instructions))) {
            return std::nullopt;
        }
        return distance{done, 0};
    }
    bool first_run() const { return runs_ == 1; }

    /// What others do while the worker runs through its scenario.
    struct company {
        std::vector<std::shared_ptr<told_claim>> waiting; ///< Or holding, together; in the order of the line.
        std::vector<own_way> beside;     ///< Hold from before the worker came, together with it.
        std::uint64_t victims_token = 0; ///< Of one who is dead.
        std::jthread lets_go;            ///< As soon as the worker stands in line.
    };
    /// Before the worker starts.
    void hold_beside(company& with) {
        const std::set<std::string> scenarios{"reader_beside",        "reader_leaves_others", "permit_beside",
                                              "writer_behind_reader", "writer_after_reader",  "permit_leaves",
                                              "reader_refused"};
        if (scenarios.contains(GetParam())) {
            with.beside.push_back(share());
        }
    }
    /// Once it has come to its mark.
    void keep_company(company& with) {
        const std::string& scenario = GetParam();
        if (scenario == "contended" || scenario == "hand_over_to_one" || scenario == "leaving" ||
            scenario.starts_with("reader_leaves") || scenario == "reader_refused") {
            with.waiting = {stand()};
        } else if (scenario.starts_with("granted")) {
            let_go_when_awaited(with, [this, first = stand()] { session_->remove(first); });
        } else if (scenario == "writer_after_reader") {
            let_go_when_awaited(with, [first = with.beside.back()] { first.release(); });
            with.beside.clear();
        } else if (scenario == "repair" || scenario == "reader_repairs") {
            holder victim(folder_.path().string(), "name", 600000ms, permits_of_victim());
            with.victims_token = victim.token();
            EXPECT_GT(with.victims_token, last_token_);
            victim.process().kill();
        } else if (scenario == "hand_over") {
            with.waiting = {stand(1), stand(1), stand(1), stand()};
        } else if (scenario == "hand_over_to_two") {
            with.waiting = {stand(), stand()};
        } else if (scenario == "permit_leaves") {
            with.waiting = {stand(2), stand()};
        }
    }
    std::string permits_of_victim() const { return GetParam() == "repair" ? "hold" : "hold-shared"; }
    void let_go_when_awaited(company& with, std::function<void()> let_go) {
        with.lets_go = std::jthread([this, let_go = std::move(let_go)](const std::stop_token& over) {
            while (!over.stop_requested() && claims().size() < 2) {
                std::this_thread::sleep_for(200us); // Its every step is much slower than this.
            }
            let_go();
        });
    }

    /// Whatever the worker left, everybody is served, in order, and nobody too soon.
    void serve(company& with) {
        for (const own_way& each : with.beside) {
            EXPECT_TRUE(each.path->holds(each.ticket)) << "it holds no more because another one died";
        }
        std::vector<std::shared_ptr<told_claim>> holding;
        for (const auto& each : with.waiting) {
            if (each->claim().weight == capacity()) { // It comes after those before it have left.
                if (!holding.empty() || !with.beside.empty()) {
                    each->place.reset();
                    session_->drive(*each, now(clock_source::monotonic));
                    EXPECT_EQ(each->given.load(), 0U) << "one who holds alone beside others";
                }
                for (const auto& before : holding) {
                    session_->remove(before);
                }
                for (const own_way& before : with.beside) {
                    before.release();
                }
                holding.clear();
                with.beside.clear();
            }
            EXPECT_TRUE(granted(each));
            EXPECT_GT(each->given.load(), last_token_);
            last_token_ = each->given.load();
            holding.push_back(each);
        }
        for (const auto& last : holding) {
            session_->remove(last);
        }
        with.waiting.clear();
    }

    /// Runs the scenario and kills there; how far it had come, also when it got to its end. Nothing: not
    /// where the known way would have led.
    std::optional<distance> run(const distance& most, bool by_known_way = false) {
        ++runs_;
        if (new_names()) {
            name_ = "name " + std::to_string(runs_);
        }
        company with;
        hold_beside(with);
        stepped worker({LOCAL_STEP_WORKER, folder_.path().string(), GetParam(), name_});
        if (!worker.to_mark()) {
            ADD_FAILURE() << "the worker did not begin";
            return distance{0, 0};
        }
        keep_company(with);
        const bool look = most.all == unlimited;
        const auto done = look ? step(worker, most) : go(worker, most.all, by_known_way);
        SCOPED_TRACE("killed after " + std::to_string(done.value_or(most).all) + " instructions, " +
                     std::to_string(done.value_or(most).lasting) + " of them lasting");
        EXPECT_TRUE(worker.is_there()) << "it did not get what it was to get";
        worker.kill();
        with.lets_go = {}; // Stops and joins.
        note_tokens_of_the_dead(with.victims_token);
        last_token_ = std::max(last_token_, with.victims_token);
        // Every other time two open a session first: one takes the place of the dead back, and the next one
        // gets it. And every other time those who wait are the ones to find out, not one who comes anew.
        const bool with_newcomers = runs_ % 2 == 0;
        const auto newcomer = with_newcomers ? open(7) : nullptr;
        const auto next_newcomer = with_newcomers ? open(8) : nullptr;
        if (runs_ % 4 < 2 && !with.waiting.empty()) {
            serve(with);
        }
        with.waiting.push_back(stand());
        serve(with);
        return done;
    }

    void kill_at_every_point();

    temp_dir folder_{"holdfast-step"};
    std::string name_ = "name";
    std::unique_ptr<store> store_;
    std::shared_ptr<store_session> session_;
    std::shared_ptr<local::segment> memory_;
    std::unique_ptr<watched_segment> watched_;
    std::uint64_t number_ = 0;
    std::uint64_t last_token_ = 0;
    std::size_t runs_ = 0;
    trace way_;
};

void stepping::kill_at_every_point() {
    const distance all = run({}).value();
    EXPECT_EQ(watched_->blind_spot(), "");
    ASSERT_GT(all.lasting, 1U);
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
    std::size_t stepped_to = 0;
    for (const std::size_t after : points) {
        if (lasting) {
            run({.lasting = after});
        } else if (!way_.knows(after) || !run({.all = after}, true)) {
            ++stepped_to;
            run({.all = after});
        }
        ++taken;
        if (HasFailure() || (asked == nullptr && std::chrono::steady_clock::now() - begun > time_to_spare)) {
            break;
        }
    }
    RecordProperty("kills", static_cast<int>(taken));
    RecordProperty("stepped_to", static_cast<int>(stepped_to));
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
                                           "new_name", "leaving", "reader", "reader_beside", "reader_leaves",
                                           "reader_leaves_others", "reader_repairs", "reader_refused",
                                           "writer_behind_reader", "writer_after_reader", "permit",
                                           "permit_beside", "permit_leaves"),
                         [](const auto& named) { return named.param; });

} // namespace
} // namespace holdfast::testing
