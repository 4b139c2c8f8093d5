#include "worker.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <iostream>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sstream>
#include <sys/mman.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <unistd.h>

#include "frame.hpp"
#include "takers.hpp"

namespace holdfast::bench {
namespace {

std::int64_t now_ns() noexcept {
    timespec at{};
    ::clock_gettime(CLOCK_MONOTONIC, &at);
    return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

/// Its own cache lines: threads must not slow each other down by counting.
struct alignas(128) thread_result {
    worker_count counted;
    histogram waits;
    histogram passes;
};

/// Turns without a pause until the end. Turns that were granted after it are not counted, but their waits
/// are: the longest waits end there.
void take_turns(turn_taker& taker, board& shared, std::uint32_t me, std::int64_t end,
                std::chrono::microseconds hold, thread_result& result) {
    for (std::int64_t called = now_ns(); called < end; called = now_ns()) {
        const bool in_line = shared.wanting.fetch_add(1, std::memory_order_relaxed) > 0;
        taker.acquire();
        // As early and as late as can be, so that a lock that lets two in is caught.
        const bool alone = shared.inside.fetch_add(1, std::memory_order_relaxed) == 0;
        const std::int64_t acquired = now_ns();
        const bool handed_over = shared.last_holder.exchange(me, std::memory_order_relaxed) != me;
        if (!alone) {
            shared.collisions.fetch_add(1, std::memory_order_relaxed);
        }
        if (handed_over && in_line) {
            const std::int64_t released = shared.released_at.load(std::memory_order_relaxed);
            if (released > called) { // Else we came after the release and waited for nobody.
                result.passes.add(static_cast<std::uint64_t>(std::max<std::int64_t>(acquired - released, 0)));
            }
        }
        if (hold >= std::chrono::microseconds(50)) {
            std::this_thread::sleep_for(hold);
        } else if (hold.count() > 0) { // No sleep is as short.
            for (const std::int64_t over = acquired + std::chrono::nanoseconds(hold).count();
                 now_ns() < over;) {
            }
        }
        shared.wanting.fetch_sub(1, std::memory_order_relaxed);
        shared.inside.fetch_sub(1, std::memory_order_relaxed);
        shared.released_at.store(now_ns(), std::memory_order_relaxed);
        taker.release();
        result.waits.add(static_cast<std::uint64_t>(acquired - called));
        if (acquired < end) {
            ++result.counted.turns;
            result.counted.hand_overs += handed_over ? 1 : 0;
            result.counted.contended += handed_over && in_line ? 1 : 0;
        }
    }
}

std::uint64_t received_bytes() {
    std::uint64_t all = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        tcp_info info{};
        socklen_t size = sizeof(info);
        const int fd = std::stoi(entry.path().filename().string());
        if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
            all += info.tcpi_bytes_received;
        }
    }
    return all;
}

void tell(std::ostream& into, const histogram& what) {
    for (std::size_t bucket = 0; bucket < histogram::bucket_count; ++bucket) {
        if (what.count_in(bucket) > 0) {
            into << ' ' << bucket << ':' << what.count_in(bucket);
        }
    }
}

std::string run_slice(const std::vector<std::unique_ptr<turn_taker>>& takers, board& shared,
                      std::uint32_t first, std::chrono::milliseconds length, std::chrono::microseconds hold) {
    std::vector<thread_result> results(takers.size());
    const std::int64_t end = now_ns() + std::chrono::nanoseconds(length).count();
    {
        std::vector<std::jthread> threads;
        for (std::uint32_t index = 0; index < takers.size(); ++index) {
            threads.emplace_back(
                [&, index] { take_turns(*takers[index], shared, first + index, end, hold, results[index]); });
        }
    }
    std::ostringstream answer;
    answer << "done";
    histogram waits;
    histogram passes;
    for (const thread_result& each : results) {
        answer << ' ' << each.counted.turns << ':' << each.counted.hand_overs << ':'
               << each.counted.contended;
        waits.add(each.waits);
        passes.add(each.passes);
    }
    answer << " waits";
    tell(answer, waits);
    answer << " passes";
    tell(answer, passes);
    return answer.str();
}

} // namespace

board& map_board(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ::ftruncate(fd, sizeof(board)) != 0) {
        throw std::system_error(errno, std::generic_category(), path);
    }
    void* memory = ::mmap(nullptr, sizeof(board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    if (memory == MAP_FAILED) {
        throw std::system_error(errno, std::generic_category(), "mmap " + path);
    }
    return *static_cast<board*>(memory);
}

int run_worker(const std::vector<std::string>& arguments) {
    try {
        const std::string& kind = arguments.at(0);
        const auto threads = static_cast<std::uint32_t>(std::stoul(arguments.at(3)));
        // From 1: nobody has held yet where the board says 0.
        const auto first = static_cast<std::uint32_t>(std::stoul(arguments.at(4))) * threads + 1;
        board& shared = map_board(arguments.at(5));
        const taker_maker make = takers(kind, arguments.at(1), arguments.at(2), arguments.at(4));
        std::vector<std::unique_ptr<turn_taker>> all;
        for (std::uint32_t index = 0; index < threads; ++index) {
            all.push_back(make());
        }
        std::vector<char> ballast;
        std::cout << "ready" << std::endl;
        for (std::string command; std::getline(std::cin, command);) {
            if (command.starts_with("go ")) {
                std::istringstream words(command.substr(3));
                std::int64_t length_ms = 0;
                std::int64_t hold_us = 0;
                words >> length_ms >> hold_us;
                std::cout << run_slice(all, shared, first, std::chrono::milliseconds(length_ms),
                                       std::chrono::microseconds(hold_us))
                          << std::endl;
            } else if (command.starts_with("fill ")) {
                ballast.assign(std::stoul(command.substr(5)) << 20, 'x');
                std::cout << "filled" << std::endl;
            } else if (command == "received") {
                std::cout << "received " << received_bytes() << std::endl;
            } else if (command == "acquire") {
                all.front()->acquire();
                const std::int64_t acquired = now_ns(); // Before the stream is touched, which is cold.
                std::cout << "acquired " << acquired << std::endl;
            } else if (command == "release") {
                const std::int64_t called = now_ns();
                all.front()->release();
                std::cout << "released " << called << std::endl;
            }
        }
        return 0;
    } catch (const std::exception& failure) {
        std::cerr << "holdfast_bench --worker: " << failure.what() << std::endl;
        return 1;
    }
}

} // namespace holdfast::bench
