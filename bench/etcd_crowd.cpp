// The lines of the etcd store with many names, many waiters and many processes.
#include "engines.hpp"

#include <fstream>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "checks.hpp"
#include "crowd.hpp"
#include "etcd_place.hpp"

namespace holdfast::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds crowd_ttl{3000};

/// A number of the server's /metrics.
double metric(const testing::etcd_server& server, const std::string& line) {
    testing::process_options how;
    how.out = testing::redirect::pipe();
    testing::child_process asked({"curl", "-s", "http://" + server.endpoint() + "/metrics"}, how);
    while (const auto text = asked.read_line(milliseconds(5000))) {
        if (text->starts_with(line)) {
            return std::stod(text->substr(text->rfind(' ')));
        }
    }
    return 0;
}

constexpr const char* renewals = "grpc_server_msg_received_total{grpc_method=\"LeaseKeepAlive\"";

void measure_crowd(finding& into, std::chrono::nanoseconds) {
    constexpr std::size_t count = 10'000;
    testing::etcd_server server;
    crowd_process crowd(server.url(), count, crowd_ttl);
    const auto held = crowd.answer("held");
    into.checks.push_back(check_figure("10,000 held names: <= 2 KiB each", bound::at_most, 2048,
                                       static_cast<double>(held.at(0)), "bytes"));
    const double before = metric(server, renewals);
    std::this_thread::sleep_for(2 * crowd_ttl);
    const double each = (metric(server, renewals) - before) / 6;
    into.checks.push_back(
        check_figure("one keep-alive per TTL/3 for all of them", bound::at_most, 1.2, each, ""));
    const auto waiting = crowd.ask("wait", "waiting");
    into.checks.push_back(check_figure("10,000 waiting coroutines: <= 4 KiB each", bound::at_most, 4096,
                                       static_cast<double>(waiting.at(0)), "bytes"));
    into.checks.push_back(check_figure("and no thread each: threads more than while it only held",
                                       bound::at_most, 16, static_cast<double>(waiting.at(1) - held.at(1)),
                                       ""));
    into.checks.push_back(check_figure("a release wakes one", bound::at_most, 1,
                                       static_cast<double>(crowd.ask("free", "woken").at(0)), ""));
}

enum class threads { all, but_grpc_timers };

/// How often the threads of a process have left the processor.
std::uint64_t switches(pid_t of, threads which) {
    std::uint64_t all = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(of) + "/task")) {
        std::string name;
        std::getline(std::ifstream(task.path() / "comm"), name);
        if (which == threads::but_grpc_timers &&
            (name.starts_with("grpc_global") || name == "timer_manager")) {
            continue;
        }
        std::ifstream in(task.path() / "status");
        for (std::string line; std::getline(in, line);) {
            if (line.find("voluntary_ctxt_switches:") != std::string::npos) {
                all += std::stoull(line.substr(line.find(':') + 1));
            }
        }
    }
    return all;
}

/// Moments in which any of these threads ran: what happens in looks that follow each other is one.
class awakenings {
  public:
    awakenings(pid_t of, threads which) : of_(of), which_(which), last_(switches(of, which)) {}
    void look() {
        const std::uint64_t now = switches(of_, which_);
        count_ += now != last_ && !awake_ ? 1 : 0;
        awake_ = std::exchange(last_, now) != now;
    }
    int count() const { return count_; }

  private:
    pid_t of_;
    threads which_;
    std::uint64_t last_;
    bool awake_ = false;
    int count_ = 0;
};

void measure_idle(finding& into, std::chrono::nanoseconds) {
    testing::etcd_server server;
    crowd_process idle(server.url(), 1, crowd_ttl);
    static_cast<void>(idle.answer("held"));
    const auto bare =
        crew::of_takers("etcd-plain", server.endpoint(), "idle", 1, 1, server.folder() / "idle");
    static_cast<void>(bare->contend(milliseconds(200)));
    std::this_thread::sleep_for(crowd_ttl);
    // A renewal wakes several threads within a few milliseconds: that is one awakening.
    constexpr milliseconds look_every{50};
    constexpr int thirds = 18;
    const auto end = std::chrono::steady_clock::now() + thirds * crowd_ttl / 3;
    awakenings all(idle.pid(), threads::all);
    awakenings of_its_own(idle.pid(), threads::but_grpc_timers);
    awakenings of_grpc(bare->pids().at(0), threads::all);
    while (std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(look_every);
        all.look();
        of_its_own.look();
        of_grpc.look();
    }
    const auto figure = [&](const std::string& of, bound side, const awakenings& counted) {
        into.checks.push_back(check_figure(of, side, 1.1, static_cast<double>(counted.count()) / thirds, ""));
    };
    figure("awakenings of an idle holder in TTL/3", bound::at_most, all);
    figure("without gRPC's two timer threads", bound::at_most, of_its_own);
    figure("a process with one gRPC connection and nothing else", bound::none, of_grpc);
}

/// What a process receives for each turn that it takes, in bytes; the mean over all.
double bytes_a_turn(crew& of, milliseconds length) {
    const auto before = of.received();
    const slice taken = of.contend(length);
    const auto after = of.received();
    const double bytes = static_cast<double>(std::accumulate(after.begin(), after.end(), std::uint64_t{0}) -
                                             std::accumulate(before.begin(), before.end(), std::uint64_t{0}));
    return bytes / taken.turns();
}

// Every process takes turns with itself on a name of its own: 2 threads, so that one of them always waits.
void measure_traffic(finding& into, std::chrono::nanoseconds budget) {
    testing::etcd_server server;
    const auto busy = [&](int processes, const std::string& name) {
        return crew::of_takers("holdfast-own", server.url(), name, processes, 2, server.folder() / name);
    };
    const auto one = busy(1, "one");
    const auto fifty = busy(50, "fifty");
    const auto length = std::chrono::duration_cast<milliseconds>(budget / 4);
    static_cast<void>(bytes_a_turn(*one, milliseconds(500)));
    static_cast<void>(bytes_a_turn(*fifty, milliseconds(500)));
    const double alone = bytes_a_turn(*one, length);
    const double among = bytes_a_turn(*fifty, length);
    into.checks.push_back(check_figure("received a turn, beside 49 busy names: <= 1.3 x alone",
                                       bound::at_most, 1.3, among / alone, "x"));
    into.checks.push_back(check_figure("alone", bound::none, 0, alone, "bytes"));
    // And who waits for nothing hears nothing.
    const auto before = one->received();
    static_cast<void>(fifty->contend(length));
    into.checks.push_back(check_figure("received meanwhile by who waits for none of them", bound::at_most,
                                       4096, static_cast<double>(one->received().at(0) - before.at(0)),
                                       "bytes"));
}

} // namespace

void add_etcd_crowd_lines(std::vector<line>& lines) {
    lines.push_back({"etcd", "crowd", "one process that holds 10,000 names, and 10,000 coroutines that wait",
                     measure_crowd});
    lines.push_back({"etcd", "idle", "a process that holds one name and does nothing", measure_idle});
    lines.push_back(
        {"etcd", "traffic", "50 processes on 50 busy names: what each of them receives", measure_traffic});
}

} // namespace holdfast::bench
