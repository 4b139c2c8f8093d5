// The lines of `holdfast run`: a whole process from start to end, against the tools that do the same. The
// command of all is `true`, looked up in PATH.
#include "engines.hpp"

#include <cstdlib>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <vector>

#include "checks.hpp"
#include "support/temp_dir.hpp"
#ifdef HOLDFAST_HAS_ETCD
#include "support/servers.hpp"
#endif

namespace holdfast::bench {
namespace {

using std::chrono::milliseconds;

/// Starts the command and waits for its end, which must be 0.
void run_once(const std::vector<std::string>& command) {
    std::vector<char*> arguments;
    for (const std::string& argument : command) {
        arguments.push_back(const_cast<char*>(argument.c_str()));
    }
    arguments.push_back(nullptr);
    pid_t started = 0;
    if (const int failure =
            ::posix_spawnp(&started, arguments[0], nullptr, nullptr, arguments.data(), environ);
        failure != 0) {
        throw std::system_error(failure, std::generic_category(), command[0]);
    }
    int status = 0;
    if (::waitpid(started, &status, 0) != started || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        throw std::runtime_error(command[0] + " did not end with 0");
    }
}

contender starting(std::string name, std::vector<std::string> command) {
    return {std::move(name), [command = std::move(command)] {
                return cycles([&command] { run_once(command); }, milliseconds(200), 1);
            }};
}

std::vector<std::string> holdfast_run(const std::string& url) {
    return {(own_folder() / "holdfast").string(), "run", "--url", url, "-n", "bench", "true"};
}

double time_of(const slice& each) {
    return each.ns_per_turn();
}

void judge(finding& into, const std::string& goal, double limit) {
    into.checks.push_back(
        check_ratio(goal, bound::at_most, limit, ratio(into.entrants[0], into.entrants[1], time_of)));
    for (const entrant& each : into.entrants) {
        into.checks.push_back(
            check_figure(each.name + ": start to end", bound::none, 0, each.sum().ns_per_turn() / 1e6, "ms"));
    }
}

void measure_on_this_machine(finding& into, std::chrono::nanoseconds budget) {
    const testing::temp_dir folder("holdfast-bench");
    into.entrants = alternate({starting("holdfast run", holdfast_run("local:" + (folder / "locks").string())),
                               starting("flock", {"flock", (folder / "flock").string(), "true"}),
                               starting("true", {"true"})},
                              budget);
    judge(into, "<= 1.35 x flock f true", 1.35);
}

#ifdef HOLDFAST_HAS_ETCD
void measure_on_etcd(finding& into, std::chrono::nanoseconds budget) {
    ::setenv("ETCDCTL_API", "3", 1);
    testing::etcd_server server;
    into.entrants = alternate({starting("holdfast run", holdfast_run(server.url())),
                               starting("etcdctl lock", {"etcdctl", "--endpoints", server.endpoint(), "lock",
                                                         "bench-etcdctl", "true"})},
                              budget);
    judge(into, "<= 0.65 x etcdctl lock k true", 0.65);
}
#endif

} // namespace

void add_command_lines(std::vector<line>& lines) {
    lines.push_back({"local", "run", "holdfast run -n NAME true, its guard included, against flock FILE true",
                     measure_on_this_machine});
#ifdef HOLDFAST_HAS_ETCD
    lines.push_back(
        {"etcd", "run", "holdfast run -n NAME true against etcdctl lock NAME true", measure_on_etcd});
#endif
}

} // namespace holdfast::bench
