// A segment that somebody wrote nonsense into: no process crashes or hangs on it, whatever the nonsense is.
#include "local/support.hpp"

#include <csignal>
#include <cstdlib>
#include <random>

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

TEST(damaged_segment, crashes_and_hangs_nobody) {
    const char* const asked = std::getenv("HOLDFAST_FUZZ");
    const int rounds = asked == nullptr ? 60 : std::atoi(asked);
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
            auto& word = *reinterpret_cast<local::word32*>(bytes + targets[random() % targets.size()]);
            word.store(random() % 2 == 0 ? word.load() ^ (1U << random() % 32)
                                         : static_cast<std::uint32_t>(random()));
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
