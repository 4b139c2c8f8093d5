// The processes of a line with several processes, seen from the one that measures.
//
// One thread uses a crew, the main thread: the kernel ends a child with the thread that started it. They are
// told to start within microseconds of each other and stop by their own clocks. Every wait is bounded; a
// worker that fails makes the call throw std::runtime_error.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "frame.hpp"
#include "support/process.hpp"

namespace holdfast::bench {

class crew {
  public:
    /// Workers of this program; see takers.hpp for kind and where. The board is a file of their own.
    static std::unique_ptr<crew> of_takers(const std::string& kind, const std::string& where,
                                           const std::string& name, int processes, int threads,
                                           const std::filesystem::path& board_file);
    /// Another program that speaks the words of worker.hpp.
    static std::unique_ptr<crew> of_program(const std::vector<std::string>& argv, int processes);

    /// All take turns as fast as they can, holding each for so long: asleep, or awake where that is less than
    /// 50 us.
    slice contend(std::chrono::milliseconds length, std::chrono::microseconds hold = {});
    std::vector<pid_t> pids() const;
    /// What each process has received on the TCP connections that it has open now, in bytes.
    std::vector<std::uint64_t> received();
    /// The first two processes hand the lock back and forth, holding it 20 to 80 ms.
    slice hand_over(int times);
    /// The first process, with so much memory resident, is killed while it holds and the second waits; then
    /// started anew. The hand-overs count from the call of kill(2).
    slice take_over(int megabytes);
    /// How often two were inside at once; workers of other programs do not tell.
    std::uint32_t collisions() const;

  private:
    static std::unique_ptr<testing::child_process> started(const std::vector<std::string>& argv);
    void start(const std::vector<std::string>& argv);
    void await_ready();
    std::string answer(std::size_t worker, const std::string& first_word);

    std::vector<std::unique_ptr<testing::child_process>> workers_;
    std::vector<std::vector<std::string>> commands_; ///< Of the workers.
    struct board* board_ = nullptr;
};

/// The folder of the running program.
std::filesystem::path own_folder();

} // namespace holdfast::bench
