// holdfast_bench: measures the lines of the goals that this machine allows, side by side with limits and
// peers.
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "crowd.hpp"
#include "engines.hpp"
#include "report.hpp"
#include "worker.hpp"

namespace {

using namespace holdfast::bench;

std::vector<line> all_lines() {
    std::vector<line> lines;
    add_local_lines(lines);
    add_local_scale_lines(lines);
    add_command_lines(lines);
#ifdef HOLDFAST_HAS_ETCD
    add_etcd_lines(lines);
#endif
#ifdef HOLDFAST_HAS_REDIS
    add_redis_lines(lines);
#endif
    return lines;
}

finding measured(const line& what, double seconds) {
    finding result{what.store, what.name, what.compares, {}, {}};
    try {
        what.measure(result, std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9)));
    } catch (const std::exception& failure) {
        result.checks.push_back(not_measured("the whole line", failure.what()));
    }
    return result;
}

} // namespace

int main(int argc, char** argv) {
    if (argc > 1 && std::string(argv[1]) == "--worker") {
        return run_worker({argv + 2, argv + argc});
    }
    if (argc > 1 && std::string(argv[1]) == "--crowd") {
        return run_crowd({argv + 2, argv + argc});
    }
    CLI::App options("Measures Holdfast against its goals. Ratios within one run count, nothing else.");
    std::string store = "all";
    std::string filter;
    std::string json_path;
    double seconds = 8;
    bool list = false;
    options.add_option("--store", store, "local, etcd, redis or all")
        ->check(CLI::IsMember({"local", "etcd", "redis", "all"}));
    options.add_option("--line", filter, "only lines whose name contains this, such as U1");
    options.add_option("--seconds", seconds, "about how long each line takes")
        ->check(CLI::Range(0.1, 3600.0));
    options.add_option("--json", json_path, "write all raw numbers to this file");
    options.add_flag("--list", list, "show the lines and stop");
    CLI11_PARSE(options, argc, argv);

    try {
        std::vector<finding> findings;
        for (const line& each : all_lines()) {
            if ((store != "all" && store != each.store) || each.name.find(filter) == std::string::npos) {
                continue;
            }
            if (list) {
                std::cout << each.store << " " << each.name << ": " << each.compares << "\n";
                continue;
            }
            findings.push_back(measured(each, seconds));
            print(std::cout, findings.back());
        }
        if (list) {
            return 0;
        }
        if (findings.empty()) {
            std::cerr << "holdfast_bench: no line matches; --list shows them\n";
            return 2;
        }
        print_summary(std::cout, findings);
        if (!json_path.empty()) {
            write_json(json_path, findings);
        }
        return 0;
    } catch (const std::exception& failure) {
        std::cerr << "holdfast_bench: " << failure.what() << "\n";
        return 1;
    }
}
