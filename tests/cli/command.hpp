// Runs the real command against a store of the test's own.
#pragma once

#include <chrono>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "support/process.hpp"
#include "support/temp_dir.hpp"

namespace holdfast::cli {

using words = std::vector<std::string>;
using namespace std::chrono_literals;

/// How long anything may take on a busy machine before the test counts as failed.
constexpr std::chrono::milliseconds bound = 30s;

class command_test : public ::testing::Test {
  protected:
    /// The store that HOLDFAST_URL names; a folder of the test's own.
    std::string url() const { return "local:" + (folder_ / "store").string(); }

    holdfast::testing::process_options surroundings() const {
        holdfast::testing::process_options how;
        how.env = {{"HOLDFAST_URL", url()}, {"XDG_CONFIG_HOME", folder_.path().string()}};
        how.unset_env = {"HOLDFAST_HELD", "NO_COLOR"};
        return how;
    }

    static words holdfast(words arguments) {
        arguments.insert(arguments.begin(), HOLDFAST_PROGRAM);
        return arguments;
    }

    /// The command where other users may start it too: a checkout may lie in a folder of root's own.
    words for_anybody(words arguments) const {
        const auto copy = folder_ / "anybodys-holdfast";
        std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
        std::filesystem::copy_file(HOLDFAST_PROGRAM, copy, std::filesystem::copy_options::overwrite_existing);
        arguments.insert(arguments.begin(), copy.string());
        return arguments;
    }

    holdfast::testing::finished_process run(words arguments) const {
        return holdfast::testing::run_process(holdfast(std::move(arguments)), bound, surroundings());
    }

    /// The exit code, or 1000 + the signal it died by.
    int code(words arguments) const {
        const auto status = run(std::move(arguments)).status;
        return status.signal != 0 ? 1000 + status.signal : status.code;
    }

    std::string file(const std::string& name) const { return (folder_ / name).string(); }

    std::string contents(const std::string& name) const {
        std::ifstream in(file(name));
        return {std::istreambuf_iterator<char>(in), {}};
    }

    bool exists(const std::string& name) const { return std::filesystem::exists(file(name)); }

    holdfast::testing::temp_dir folder_;
};

/// The lines of a text as numbers: time stamps.
inline std::vector<double> numbers(const std::string& text) {
    std::vector<double> found;
    std::size_t at = 0;
    for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', at)) {
        found.push_back(std::stod(text.substr(at, end - at)));
        at = end + 1;
    }
    return found;
}

} // namespace holdfast::cli
