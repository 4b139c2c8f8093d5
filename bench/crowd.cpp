#include "crowd.hpp"

#include <atomic>
#include <exception>
#include <filesystem>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <holdfast/holdfast.hpp>

#include "support/detached.hpp"
#include "support/own_status.hpp"
#include "support/process.hpp"

namespace holdfast::bench {
namespace {

using std::chrono::milliseconds;
using testing::own_status;

constexpr std::size_t at_once = 500;

template <typename Condition>
void await(Condition condition) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(100);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > limit) {
            throw std::runtime_error("the crowd did not get in line in time");
        }
        std::this_thread::sleep_for(milliseconds(1));
    }
}

void say(const std::string& word, std::size_t count, long before_kb) {
    const double each =
        static_cast<double>(own_status("VmRSS") - before_kb) * 1024 / static_cast<double>(count);
    std::cout << word << ' ' << static_cast<long>(each) << ' ' << own_status("Threads") << std::endl;
}

std::string name_of(std::size_t number) {
    return "crowd-" + std::to_string(number);
}

testing::detached wait_for(mutex name, std::atomic<std::size_t>& granted, std::vector<held>& holds,
                           std::size_t number) {
    auto outcome = co_await name.acquire_async();
    if (outcome) {
        holds[number] = std::move(*outcome);
        ++granted;
    }
}

} // namespace

int run_crowd(const std::vector<std::string>& arguments) {
    try {
        const std::string& url = arguments.at(0);
        const std::size_t count = std::stoul(arguments.at(1));
        const options how{.ttl = milliseconds(std::stol(arguments.at(2))),
                          .op_timeout = std::chrono::seconds(60)};
        const locks mine = connect(url, how);
        static_cast<void>(mine.mutex("first").acquire().value());
        std::vector<held> holds(count);
        std::atomic<std::size_t> held_now{0};
        const long before_kb = own_status("VmRSS");
        for (std::size_t number = 0; number < count; ++number) {
            await([&] { return number - held_now.load() < at_once; });
            mine.mutex(name_of(number)).async_acquire({}, [&, number](result<held> outcome) {
                holds[number] = std::move(outcome).value();
                ++held_now;
            });
        }
        await([&] { return held_now.load() == count; });
        std::this_thread::sleep_for(
            std::chrono::seconds(1)); // By then each is watched, where the store does that.
        say("held", count, before_kb);

        const locks others = connect(url, how);
        std::vector<held> theirs(count);
        std::atomic<std::size_t> granted{0};
        for (std::string command; std::getline(std::cin, command);) {
            if (command == "wait") {
                const long holding_kb = own_status("VmRSS");
                const auto in_line = [&] { return mine.show(name_of(count - 1)).value().claims.size() == 2; };
                for (std::size_t number = 0; number < count; ++number) {
                    wait_for(others.mutex(name_of(number)), granted, theirs, number);
                    if (number % at_once == at_once - 1) {
                        await([&] { return mine.show(name_of(number)).value().claims.size() == 2; });
                    }
                }
                await(in_line);
                say("waiting", count, holding_kb);
            } else if (command == "free") {
                static_cast<void>(holds[count / 2].release());
                std::this_thread::sleep_for(std::chrono::seconds(1));
                std::cout << "woken " << granted.load() << std::endl;
            }
        }
        std::cout.flush();
        std::_Exit(0); // Ten thousand releases one after the other are nothing that is measured here.
    } catch (const std::exception& failure) {
        std::cerr << "holdfast_bench --crowd: " << failure.what() << std::endl;
        return 1;
    }
}

crowd_process::crowd_process(const std::string& url, std::size_t count, milliseconds ttl) {
    testing::process_options how;
    how.input_pipe = true;
    how.out = testing::redirect::pipe();
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    process_ = std::make_unique<testing::child_process>(
        std::vector<std::string>{self, "--crowd", url, std::to_string(count), std::to_string(ttl.count())},
        how);
}

crowd_process::~crowd_process() = default;

pid_t crowd_process::pid() const {
    return process_->pid();
}

std::vector<long> crowd_process::answer(const std::string& word) {
    const auto line = process_->read_line(std::chrono::seconds(120));
    if (!line || !line->starts_with(word)) {
        throw std::runtime_error("the crowd answered '" + line.value_or("nothing") + "'");
    }
    std::istringstream numbers(line->substr(word.size()));
    std::vector<long> out;
    for (long number = 0; numbers >> number;) {
        out.push_back(number);
    }
    return out;
}

std::vector<long> crowd_process::ask(const std::string& command, const std::string& word) {
    process_->write_input(command + "\n");
    return answer(word);
}

} // namespace holdfast::bench
