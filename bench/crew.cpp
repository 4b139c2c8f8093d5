#include "crew.hpp"

#include <csignal>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "worker.hpp"

namespace holdfast::bench {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds answer_bound{30'000};

void read_counts(std::istringstream& from, slice& into) {
    for (std::string word; from >> word && word != "waits";) {
        worker_count counted;
        char colon = 0;
        std::istringstream(word) >> counted.turns >> colon >> counted.hand_overs >> colon >>
            counted.contended;
        into.workers.push_back(counted);
    }
    histogram* into_which = &into.waits;
    for (std::string word; from >> word;) {
        if (word == "passes") {
            into_which = &into.passes;
            continue;
        }
        std::size_t bucket = 0;
        std::uint64_t count = 0;
        char colon = 0;
        std::istringstream(word) >> bucket >> colon >> count;
        into_which->add_to_bucket(bucket, count);
    }
}

} // namespace

std::filesystem::path own_folder() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

std::unique_ptr<crew> crew::of_takers(const std::string& kind, const std::string& where,
                                      const std::string& name, int processes, int threads,
                                      const std::filesystem::path& board_file) {
    auto made = std::make_unique<crew>();
    made->board_ = &map_board(board_file.string());
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    for (int index = 0; index < processes; ++index) {
        made->start({self, "--worker", kind, where, name, std::to_string(threads), std::to_string(index),
                     board_file.string()});
    }
    made->await_ready();
    return made;
}

std::unique_ptr<crew> crew::of_program(const std::vector<std::string>& argv, int processes) {
    auto made = std::make_unique<crew>();
    for (int index = 0; index < processes; ++index) {
        made->start(argv);
    }
    made->await_ready();
    return made;
}

std::unique_ptr<testing::child_process> crew::started(const std::vector<std::string>& argv) {
    testing::process_options how;
    how.input_pipe = true;
    how.out = testing::redirect::pipe();
    return std::make_unique<testing::child_process>(argv, how);
}

void crew::start(const std::vector<std::string>& argv) {
    workers_.push_back(started(argv));
    commands_.push_back(argv);
}

void crew::await_ready() {
    for (std::size_t worker = 0; worker < workers_.size(); ++worker) {
        static_cast<void>(answer(worker, "ready"));
    }
}

std::string crew::answer(std::size_t worker, const std::string& first_word) {
    const auto line = workers_[worker]->read_line(answer_bound);
    if (!line || !line->starts_with(first_word)) {
        throw std::runtime_error("a worker answered '" + line.value_or("nothing") + "' where '" + first_word +
                                 "' was expected");
    }
    return line->substr(first_word.size());
}

slice crew::contend(milliseconds length, std::chrono::microseconds hold) {
    const std::string command =
        "go " + std::to_string(length.count()) + " " + std::to_string(hold.count()) + "\n";
    for (const auto& worker : workers_) {
        worker->write_input(command);
    }
    slice result;
    result.seconds = std::chrono::duration<double>(length).count();
    for (std::size_t worker = 0; worker < workers_.size(); ++worker) {
        std::istringstream words(answer(worker, "done"));
        read_counts(words, result);
    }
    return result;
}

std::vector<std::uint64_t> crew::received() {
    std::vector<std::uint64_t> out;
    for (const auto& worker : workers_) {
        worker->write_input("received\n");
    }
    for (std::size_t worker = 0; worker < workers_.size(); ++worker) {
        out.push_back(std::stoull(answer(worker, "received")));
    }
    return out;
}

std::vector<pid_t> crew::pids() const {
    std::vector<pid_t> out;
    for (const auto& worker : workers_) {
        out.push_back(worker->pid());
    }
    return out;
}

slice crew::hand_over(int times) {
    thread_local std::mt19937 random{std::random_device{}()};
    std::uniform_int_distribution<int> hold_ms(20, 80);
    const auto began = std::chrono::steady_clock::now();
    slice result;
    std::size_t holder = 0;
    workers_[holder]->write_input("acquire\n");
    static_cast<void>(answer(holder, "acquired"));
    for (int turn = 0; turn < times; ++turn) {
        const std::size_t next = 1 - holder;
        workers_[next]->write_input("acquire\n");
        std::this_thread::sleep_for(milliseconds(hold_ms(random)));
        workers_[holder]->write_input("release\n");
        const auto acquired = std::stoll(answer(next, "acquired"));
        const auto released = std::stoll(answer(holder, "released"));
        result.hand_overs_us.push_back(static_cast<double>(acquired - released) / 1000);
        holder = next;
    }
    workers_[holder]->write_input("release\n");
    static_cast<void>(answer(holder, "released"));
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    return result;
}

slice crew::take_over(int megabytes) {
    const auto began = std::chrono::steady_clock::now();
    workers_[0]->write_input("fill " + std::to_string(megabytes) + "\n");
    static_cast<void>(answer(0, "filled"));
    workers_[0]->write_input("acquire\n");
    static_cast<void>(answer(0, "acquired"));
    workers_[1]->write_input("acquire\n");
    std::this_thread::sleep_for(milliseconds(20));
    const auto killed =
        std::chrono::steady_clock::now().time_since_epoch(); // CLOCK_MONOTONIC, as the worker's.
    workers_[0]->signal(SIGKILL);
    const std::chrono::nanoseconds acquired(std::stoll(answer(1, "acquired")));
    slice result;
    result.hand_overs_us.push_back(std::chrono::duration<double, std::micro>(acquired - killed).count());
    workers_[1]->write_input("release\n");
    static_cast<void>(answer(1, "released"));
    workers_[0]->kill(); // Reaps.
    workers_[0] = started(commands_[0]);
    static_cast<void>(answer(0, "ready"));
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    return result;
}

std::uint32_t crew::collisions() const {
    return board_ == nullptr ? 0 : board_->collisions.load();
}

} // namespace holdfast::bench
