#include "world.hpp"

#include <algorithm>

#include "core/client.hpp"

namespace holdfast::sim {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

void tally::add(const tally& other) noexcept {
    for (std::size_t i = 0; i < fault_kinds; ++i) {
        faults[i] += other.faults[i];
    }
    runs += other.runs;
    operations += other.operations;
    granted += other.granted;
    losses += other.losses;
    writes += other.writes;
    refused_writes += other.refused_writes;
    steps += other.steps;
    violations += other.violations;
    virtual_ms += other.virtual_ms;
    longest_recovery_ms = std::max(longest_recovery_ms, other.longest_recovery_ms);
}

world::world(kernel& in, std::uint64_t seed, tally& count)
    : kernel_(in), tally_(count), plan_(seed), dice_(seed * 0x2545f4914f6cdd1dU + 1),
      network_(in, dice_.fork(), plan_.sky, count), engine_(in, plan_.engine_settings),
      checker_(in, engine_, plan_, count), backend_{.on = in,
                                                    .behind = engine_,
                                                    .over = network_,
                                                    .op_timeout = plan_.op_timeout,
                                                    .at_once = plan_.at_once,
                                                    .chance = dice_.fork()} {
    engine_.tell = [this](const session_key& to, const notice& what) {
        const auto found = backend_.listeners.find(to);
        if (found != backend_.listeners.end()) {
            found->second(what);
        }
    };
    engine_.expired = [this](const session_key&) { tally_.note(fault::expiry); };
    backend_.appended = [this](const std::shared_ptr<claim_events>& entry) { checker_.appended(entry); };
}

void world::run() {
    if (plan_.sky.lost + plan_.sky.late + plan_.sky.repeated > 0) {
        checker_.trouble(plan_.heals + plan_.sky.latest);
    }
    for (int i = 0; i < plan_.processes; ++i) {
        auto& made = *members_.emplace_back(std::make_unique<member>());
        process what{.name = std::string(1, static_cast<char>('A' + i))};
        what.offset = dice_.between(nanoseconds(1s), nanoseconds(100h));
        if (plan_.may(fault::drift)) {
            what.ppm = dice_.permille(500) ? dice_.one_of<std::int64_t, 2>({-10'000, 10'000})
                                           : dice_.between(-10'000, 10'000);
            tally_.note(fault::drift);
        }
        made.who = &kernel_.add_process(std::move(what));
    }
    kernel_.yields(plan_.yields);
    schedule_faults();
    kernel_.at(plan_.heals, [this] { network_.heal(); });
    watchdog();
    std::vector<kernel::thread_number> started;
    for (const auto& each : members_) {
        started.push_back(kernel_.start_in(*each->who, "main", [this, &each] { live(*each); }));
    }
    for (const auto each : started) {
        kernel_.join(each);
    }
    // A session that could not be closed in time is ended by a thread of its own.
    kernel_.sleep_for(plan_.op_timeout + plan_.release_timeout + 10ms);
    if (kernel_.threads_left() != 0) {
        checker_.violation(std::to_string(kernel_.threads_left()) + " threads are left\n" +
                           kernel_.threads());
    }
    kernel_.sleep_for(plan_.granted_ttl() + plan_.engine_settings.expiry_lag + plan_.sky.latest + 10ms);
    checker_.nothing_left();
    ++tally_.runs;
    tally_.steps += kernel_.steps();
    tally_.virtual_ms += static_cast<std::uint64_t>(kernel_.time().count() / 1'000'000);
    kernel_.forget_events(); // They refer to what ends now.
}

/// The main thread of one process.
void world::live(member& which) {
    const auto listeners = checker_.listeners(*which.who, static_cast<std::size_t>(plan_.clients));
    for (const auto& each : listeners) {
        add_client(which, each);
    }
    std::vector<kernel::thread_number> actors;
    for (int i = 0; i < plan_.actors; ++i) {
        actors.push_back(kernel_.start_in(*which.who, "actor",
                                          [this, &which, mine = dice_.fork()] { act(*this, which, mine); }));
    }
    for (const auto each : actors) {
        kernel_.join(each);
    }
    const instant began = kernel_.now();
    const nanoseconds paused = which.who->paused_for;
    which.turning.clear();
    which.clients.clear();
    const nanoseconds took = kernel_.now() - began;
    const nanoseconds most = plan_.clients * plan_.release_timeout + 60ms;
    if (which.who->paused_for == paused && !which.who->crashed && took > most) {
        checker_.violation("closing the clients of " + which.who->name + " took " +
                           std::to_string(took.count() / 1'000'000) + " ms");
    }
    for (const auto& each : listeners) {
        checker_.all_told(*each);
    }
}

void world::add_client(member& which, const std::shared_ptr<checker::listener>& ear) {
    options how{.ttl = plan_.ttl,
                .op_timeout = plan_.op_timeout,
                .release_timeout = plan_.release_timeout,
                .command = "simulated",
                .why = {}};
    if (plan_.listens) {
        how.sink = [this, ear](const event& what) { checker_.hears(*ear, what); };
    }
    which.clients.emplace_back(core::client::adopt(connect(backend_), "simulated:", how).value());
    which.turning.push_back(which.clients.back().mutex(turns_name, {.local_hand_over = plan_.ttl / 4}));
}

void world::watchdog() {
    const true_time last = plan_.heals + 20 * plan_.recovery() + 60s;
    kernel_.at(last, [this] {
        kernel_.fail("somebody still waits, long after all was well\n" + kernel_.threads());
    });
}

// Faults

void world::schedule_faults() {
    for (int i = 0; i < plan_.events; ++i) {
        one_fault(dice_.between(nanoseconds(1ms), plan_.heals));
    }
}

void world::one_fault(true_time when) {
    constexpr std::array kinds{fault::disconnect,      fault::pause,           fault::pause_beyond_ttl,
                               fault::crash_of_holder, fault::crash_of_waiter, fault::revoked,
                               fault::broken,          fault::amnesia,         fault::foreign_holder};
    const fault kind = dice_.one_of(kinds);
    if (!plan_.may(kind)) {
        return;
    }
    const auto whom = dice_.below(members_.size());
    const auto which = dice_.below(1000);
    const nanoseconds ttl = plan_.granted_ttl();
    const nanoseconds briefly = dice_.between(nanoseconds(1ms), ttl);
    const nanoseconds long_time = dice_.between(ttl, 2 * ttl);
    const nanoseconds any = dice_.permille(500) ? briefly : long_time;
    const auto clipped = [this](true_time until) { return std::min(until, plan_.heals); };
    kernel_.at(when, [=, this] {
        member& victim = *members_[whom];
        const nanoseconds felt = 2 * plan_.ttl + 2 * plan_.op_timeout;
        kernel_.say("FAULT ", std::string(fault_names[static_cast<std::size_t>(kind)]), " ",
                    victim.who->name);
        switch (kind) {
        case fault::disconnect: {
            std::vector<std::shared_ptr<link>> theirs;
            for (const auto& each : network_.links()) {
                if (const auto open = each.lock(); open && &open->whose() == victim.who) {
                    theirs.push_back(open);
                }
            }
            if (!theirs.empty()) {
                const true_time until = clipped(kernel_.time() + any);
                theirs[which % theirs.size()]->break_until(until);
                checker_.trouble(until + felt);
            }
            break;
        }
        case fault::pause:
        case fault::pause_beyond_ttl: {
            const true_time until = clipped(kernel_.time() + (kind == fault::pause ? briefly : long_time));
            tally_.note(until - kernel_.time() > ttl ? fault::pause_beyond_ttl : fault::pause);
            kernel_.pause(*victim.who, until);
            checker_.trouble(until + felt);
            break;
        }
        case fault::crash_of_holder:
        case fault::crash_of_waiter:
            crash(victim);
            break;
        case fault::revoked:
            if (engine_.revoke(which)) {
                tally_.note(kind);
                checker_.trouble(kernel_.time() + felt);
            }
            break;
        case fault::broken:
            if (engine_.break_holds(mutex_names[which % mutex_names.size()]) != 0) {
                tally_.note(kind);
            }
            break;
        case fault::amnesia:
            tally_.note(kind);
            engine_.forget_everything();
            network_.drop_all();
            checker_.trouble(kernel_.time() + felt);
            break;
        case fault::foreign_holder:
            tally_.note(kind);
            engine_.foreign_takes(mutex_names[which % mutex_names.size()], clipped(kernel_.time() + any));
            break;
        default:
            break;
        }
    });
}

void world::crash(member& which) {
    if (which.who->crashed || members_.size() < 2) {
        return;
    }
    if (checker_.live_holds_of(*which.who) != 0) {
        tally_.note(fault::crash_of_holder);
    }
    if (checker_.calls_of(*which.who) != 0) {
        tally_.note(fault::crash_of_waiter);
    }
    which.who->crashed = true;
    which.dying.request_stop();
}

outcome run_seed(kernel& in, std::uint64_t seed, tally& count, const kernel::last_words& stuck) {
    outcome result;
    in.run(
        seed,
        [&] {
            world made(in, seed, count);
            made.run();
            result.violations = made.watcher().violations();
        },
        stuck);
    result.fingerprint = in.fingerprint();
    return result;
}

} // namespace holdfast::sim
