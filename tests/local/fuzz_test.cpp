// A segment that somebody wrote nonsense into: no process crashes or hangs on it, whatever the nonsense is,
// and no two who come to it later hold at once. Who held before may not be told by what is there: a word that
// says "free" where it said "held" is as legal as any. He learns it by looking at the word, or at the next
// renewal. Only if what was damaged is the directory, by which names are found, is there nothing that could
// tell him.
#include "local/support.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

/// Words that something depends on: those in use, for random bits elsewhere would rarely be read.
std::vector<std::uint64_t> places(const local::segment& in) {
    const auto& data = in.data();
    const auto base = reinterpret_cast<std::uintptr_t>(&data);
    std::vector<std::uint64_t> found;
    const auto add = [&](const void* from, std::size_t bytes) {
        const std::uint64_t at = reinterpret_cast<std::uintptr_t>(from) - base;
        for (std::uint64_t offset = 0; offset < bytes; offset += 4) {
            found.push_back(at + offset);
        }
    };
    add(&data.head, 64);
    for (std::size_t i = 0; i < 4; ++i) {
        add(&data.slots[i], sizeof(local::slot));
    }
    for (std::uint32_t i = 0; i < local::table_count; ++i) {
        if (data.table[i].load() != 0) {
            add(&data.table[i], 4);
        }
    }
    for (std::uint32_t i = 0; i < data.head.record_high.load(); ++i) {
        for (int times = 0; times < 8; ++times) { // What everything else hangs on.
            add(&data.records[i], sizeof(local::record));
        }
        add(&data.names[i], 32);
        const auto word = data.records[i].word.load();
        if (local::tag_of(word) == local::tag::line) {
            add(in.block_at(local::block_of(word)).words, 128);
        }
        const local::block proposal = in.block_at(local::proposal_block(data.records[i].proposal.load()));
        if (proposal.words != nullptr) {
            add(proposal.words, 128);
        }
    }
    return found;
}

/// A word of the segment, changed somehow.
void damage(char* bytes, std::uint64_t at, std::mt19937& random) {
    auto& word = *reinterpret_cast<local::word32*>(bytes + at);
    word.store(random() % 2 == 0 ? word.load() ^ (1U << random() % 32)
                                 : static_cast<std::uint32_t>(random()));
}

/// Who has a name, as its holders know it; the segment is not asked.
class witness {
  public:
    explicit witness(std::size_t capacity) : capacity_(capacity) {}
    void enter(const held* who, bool was_before) {
        const std::lock_guard locked(guard_);
        inside_.push_back({who, was_before});
        const auto believing = [](const entry& each) { return !each.who->is_lost(); };
        const auto newcomers = std::count_if(inside_.begin(), inside_.end(), [&](const entry& each) {
            return !each.was_before && believing(each);
        });
        violated_ = violated_ || static_cast<std::size_t>(newcomers) > capacity_;
        // Who held when the segment was damaged need not know yet; see below.
        came_beside_ = came_beside_ ||
                       (!was_before && std::any_of(inside_.begin(), inside_.end(), [&](const entry& each) {
                           return each.was_before && believing(each);
                       }));
    }
    void leave(const held* who) {
        const std::lock_guard locked(guard_);
        std::erase_if(inside_, [who](const entry& each) { return each.who == who; });
    }
    bool violated() const { return violated_; }
    bool came_beside() const { return came_beside_; }

  private:
    struct entry {
        const held* who;
        bool was_before;
    };
    std::mutex guard_;
    std::vector<entry> inside_;
    const std::size_t capacity_;
    bool violated_ = false;
    bool came_beside_ = false;
};

/// Whether this word says which record a name has. Where it is damaged, who comes later makes another record
/// for the name, and nothing in the first one tells its holder.
bool is_directory(std::uint64_t at) {
    namespace l = holdfast::local;
    if (at >= offsetof(l::segment_layout, table) && at < offsetof(l::segment_layout, records)) {
        return true;
    }
    if (at >= offsetof(l::segment_layout, names) && at < offsetof(l::segment_layout, cells)) {
        return true;
    }
    if (at < offsetof(l::segment_layout, records) || at >= offsetof(l::segment_layout, names)) {
        return false;
    }
    const std::uint64_t in_record = (at - offsetof(l::segment_layout, records)) % sizeof(l::record);
    return in_record >= offsetof(l::record, hash) && in_record < offsetof(l::record, since);
}

/// Two who come after the damage, on names that a third held before it.
TEST(damaged_segment, never_lets_two_hold_who_come_to_it) {
    const int rounds = fuzz_rounds(25);
    const auto seed = std::random_device{}();
    std::mt19937 random(seed);
    int held_by_newcomers = 0;
    for (int round = 0; round < rounds; ++round) {
        SCOPED_TRACE("seed " + std::to_string(seed) + ", round " + std::to_string(round));
        const temp_dir folder("holdfast-fuzz");
        const std::string url = "local:" + folder.path().string();
        const auto earlier = connect(url, {.ttl = 300ms});
        auto mutex_held = earlier.mutex("mutex").acquire();
        auto permits_held = earlier.semaphore("permits", 2).acquire(2);
        ASSERT_TRUE(mutex_held && permits_held);
        witness of_mutex(1);
        witness of_permits(2);
        of_mutex.enter(&*mutex_held, true);
        of_permits.enter(&*permits_held, true);
        const auto opened = local::open_segment(folder.path().string(), soon());
        ASSERT_TRUE(opened);
        const auto targets = places(**opened);
        bool directory = false;
        for (int words = 1 << random() % 5; words > 0; --words) {
            const std::uint64_t at = targets[random() % targets.size()];
            directory = directory || is_directory(at);
            damage(reinterpret_cast<char*>(&(*opened)->data()), at, random);
        }
        std::atomic<int> successes{0};
        std::vector<std::thread> newcomers;
        for (int i = 0; i < 2; ++i) {
            newcomers.emplace_back([&, i] {
                const auto locks =
                    try_connect(url, {.ttl = 500ms, .op_timeout = 100ms, .release_timeout = 100ms});
                const auto turn = [&](witness& by, auto&& acquire) {
                    auto held = acquire();
                    if (held) {
                        by.enter(&*held, false);
                        std::this_thread::yield();
                        by.leave(&*held);
                        ++successes;
                        static_cast<void>(held->release());
                    }
                };
                for (int times = 0; locks && times < 20; ++times) {
                    turn(of_mutex, [&] { return locks->mutex("mutex").try_acquire_for(1ms); });
                    turn(of_permits, [&] { return locks->semaphore("permits", 2).try_acquire_for(1, 1ms); });
                    static_cast<void>(locks->mutex("new " + std::to_string(times + i)).try_acquire());
                }
            });
        }
        for (auto& each : newcomers) {
            each.join();
        }
        EXPECT_FALSE(of_mutex.violated());
        EXPECT_FALSE(of_permits.violated());
        // A hold beside which somebody came is known to be lost with the next renewal, if not at once.
        for (const auto& [by, before] : {std::pair{&of_mutex, &*mutex_held}, {&of_permits, &*permits_held}}) {
            if (by->came_beside() && !directory) {
                EXPECT_TRUE(wait_for([&hold = *before] { return hold.is_lost(); }, patience));
            }
        }
        held_by_newcomers += successes.load();
    }
    EXPECT_GT(held_by_newcomers, 0);
}

TEST(damaged_segment, crashes_and_hangs_nobody) {
    const int rounds = fuzz_rounds(60);
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const temp_dir folder("holdfast-fuzz");
    // They stand still while their lines are damaged: only who comes then is judged.
    child_process lines({LOCAL_WORKER, "lines", folder.path().string()},
                        {.out = redirect::pipe(), .input_pipe = true});
    ASSERT_EQ(lines.read_line(patience).value_or(""), "ready");
    ASSERT_EQ(kill(lines.pid(), SIGSTOP), 0);
    const auto opened = local::open_segment(folder.path().string(), soon());
    ASSERT_TRUE(opened);
    const local::segment& in = **opened;
    auto* const bytes = reinterpret_cast<char*>(&in.data());
    const std::vector<char> before(bytes, bytes + sizeof(local::segment_layout));
    const auto targets = places(in);
    int refused = 0;
    for (int round = 0; round < rounds; ++round) {
        const int words = 1 << random() % 6;
        for (int i = 0; i < words; ++i) {
            damage(bytes, targets[random() % targets.size()], random);
        }
        child_process probe({LOCAL_WORKER, "probe", folder.path().string()}, {.out = redirect::pipe()});
        const auto said = probe.read_line(patience);
        const auto status = probe.wait(patience);
        ASSERT_TRUE(status) << "it hangs, round " << round;
        ASSERT_TRUE(status->ok()) << "code " << status->code << " signal " << status->signal << ", round "
                                  << round;
        refused += said.value_or("").starts_with("refused") ? 1 : 0;
        std::copy(before.begin(), before.end(), bytes);
    }
    RecordProperty("refused", refused);
    lines.kill();
}

} // namespace
} // namespace holdfast::testing
