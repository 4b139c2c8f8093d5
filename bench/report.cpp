#include "report.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <stdexcept>
#include <sys/utsname.h>
#include <thread>

#include <nlohmann/json.hpp>

#include "support/process.hpp"

namespace holdfast::bench {
namespace {

using nlohmann::json;

/// What a program says when asked for its version; empty where there is none.
std::string said_by(std::vector<std::string> argv) {
    try {
        std::string text = testing::run_process(std::move(argv), std::chrono::seconds(10)).out;
        return text.substr(0, text.find('\n'));
    } catch (const std::exception&) {
        return {};
    }
}

std::string processor() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string text; std::getline(file, text);) {
        if (text.starts_with("model name")) {
            return text.substr(std::min(text.find(':') + 2, text.size()));
        }
    }
    return "unknown";
}

json machine() {
    utsname kernel{};
    ::uname(&kernel);
    std::array<double, 3> load{};
    ::getloadavg(load.data(), 3);
    return {{"processor", processor()},
            {"processors", std::thread::hardware_concurrency()},
            {"kernel", std::string(kernel.release) + " " + kernel.machine},
            {"load_average_1min", load[0]},
            {"compiler", __VERSION__},
            {"redis", said_by({"redis-server", "--version"})},
            {"etcd", said_by({"etcd", "--version"})}};
}

json raw(const slice& each) {
    json made{{"seconds", each.seconds}, {"turns", each.turns()}};
    if (each.workers.size() > 1) {
        for (const worker_count& one : each.workers) {
            made["workers"].push_back({one.turns, one.hand_overs, one.contended});
        }
    }
    if (each.waits.total() > 0) {
        made["waits_ns"] = {{"p50", each.waits.percentile(0.5)},
                            {"p99", each.waits.percentile(0.99)},
                            {"max", each.waits.percentile(1)}};
    }
    if (!each.hand_overs_us.empty()) {
        made["hand_overs_us"] = each.hand_overs_us;
    }
    return made;
}

json raw(const finding& what) {
    json checks = json::array();
    for (const check& each : what.checks) {
        checks.push_back({{"goal", each.goal},
                          {"figure", each.figure},
                          {"value", each.value ? json(*each.value) : json()},
                          {"reached", each.reached ? json(*each.reached) : json()},
                          {"why_not", each.reached ? json() : json(each.why_not)}});
    }
    json entrants = json::array();
    for (const entrant& each : what.entrants) {
        json slices = json::array();
        for (const slice& one : each.slices) {
            slices.push_back(raw(one));
        }
        entrants.push_back({{"name", each.name}, {"slices", std::move(slices)}});
    }
    return {{"store", what.store},
            {"line", what.line},
            {"compares", what.compares},
            {"checks", std::move(checks)},
            {"entrants", std::move(entrants)}};
}

bool has_goal(const check& each) {
    return each.reached.has_value() || each.figure == "-";
}

} // namespace

void print(std::ostream& to, const finding& what) {
    to << "\n" << what.store << " " << what.line << ": " << what.compares << "\n";
    for (const check& each : what.checks) {
        const std::string reached = each.reached         ? (*each.reached ? "yes" : "NO")
                                    : each.figure == "-" ? "not measured: " + each.why_not
                                                         : "";
        to << "  " << std::left << std::setw(52) << each.goal << " " << std::setw(28) << each.figure << " "
           << reached << "\n";
    }
    to << std::flush;
}

void print_summary(std::ostream& to, const std::vector<finding>& all) {
    std::size_t reached = 0;
    std::size_t missed = 0;
    std::size_t unknown = 0;
    for (const finding& what : all) {
        for (const check& each : what.checks) {
            if (has_goal(each)) {
                ++(!each.reached ? unknown : *each.reached ? reached : missed);
            }
        }
    }
    to << "\ngoals: " << reached << " reached, " << missed << " not reached, " << unknown
       << " not measured\n";
}

void write_json(const std::string& path, const std::vector<finding>& all) {
    const auto now =
        std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()); // Seconds are enough.
    json findings = json::array();
    for (const finding& each : all) {
        findings.push_back(raw(each));
    }
    const json whole{{"format", 1},
                     {"at", now},
                     {"commit", said_by({"git", "describe", "--always", "--dirty"})},
                     {"machine", machine()},
                     {"findings", std::move(findings)}};
    std::ofstream file(path);
    file << whole.dump(1) << "\n";
    if (!file.flush()) {
        throw std::runtime_error("cannot write " + path);
    }
}

} // namespace holdfast::bench
