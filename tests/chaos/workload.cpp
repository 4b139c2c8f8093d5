#include "workload.hpp"

#include <algorithm>
#include <limits>

namespace holdfast::chaos {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr std::uint32_t all_permits = 3;
constexpr std::uint32_t writer = 1000; ///< More than there are readers.
constexpr std::size_t most_complaints = 20;
constexpr std::size_t nobody = std::numeric_limits<std::size_t>::max();
constexpr nanoseconds op_timeout = 2s;
constexpr nanoseconds pause_after_failure = 20ms;

instant boottime() {
    return now(clock_source::boottime);
}

} // namespace

struct workload::worker {
    std::string who;
    std::size_t client = 0;
    kind what = kind::exclusive;
    sim::dice dice{0};
    std::atomic<std::int64_t> last_granted_ns{0};
    std::atomic<bool> holds{false};
    std::atomic<const char*> doing{"starts"};
    std::string last_failure; ///< Guarded by workload::mutex_.
};

workload::workload(work_plan plan) : plan_(std::move(plan)), clinging_(nobody) {
    sim::dice dice(plan_.seed);
    std::vector<locks> clients;
    for (const std::string& url : plan_.urls) {
        clients.push_back(connect(url, {.ttl = plan_.ttl, .op_timeout = op_timeout, .release_timeout = 1s}));
    }
    for (std::size_t i = 0; i < clients.size(); ++i) {
        for (const kind what : {kind::exclusive, kind::exclusive, kind::shared, kind::permits}) {
            auto made = std::make_unique<worker>();
            made->who = "client " + std::to_string(i) + " at " + name_of(what);
            made->client = i;
            made->what = what;
            made->dice = dice.fork();
            workers_.push_back(std::move(made));
            threads_.emplace_back([this, self = workers_.back().get(), on = clients[i]] {
                work(*self, on, stop_.get_token());
            });
        }
    }
}

workload::~workload() {
    finish();
}

void workload::finish() {
    finished_ = true;
    stop_.request_stop();
    threads_.clear(); // The last references to the clients go with them.
}

void workload::cling(std::optional<std::size_t> client) {
    clinging_ = client.value_or(nobody);
}

bool workload::clings() const {
    return std::ranges::any_of(workers_, [&](const auto& one) {
        return one->client == clinging_ && one->what == kind::exclusive && one->holds;
    });
}

std::string workload::name_of(kind what) const {
    switch (what) {
    case kind::exclusive:
        return plan_.stem + "-mutex";
    case kind::shared:
        return plan_.stem + "-shared";
    default:
        return plan_.stem + "-permits";
    }
}

void workload::work(worker& self, const locks& on, const std::stop_token& stop) {
    while (!finished_) {
        const std::uint32_t weight = self.what == kind::permits ? (self.dice.permille(300) ? 2 : 1)
                                     : self.what == kind::shared && self.dice.permille(300) ? writer
                                                                                            : 1;
        self.doing = "acquires";
        const instant called = boottime();
        result<held> got = acquire(self, on, self.what, weight, stop);
        if (got) {
            take_turn(self, self.what, std::move(*got), called, weight);
        } else {
            failed(self, got.error());
        }
    }
    self.doing = "ended";
}

/// Most wait for as long as it takes; some only look, and some give up soon.
result<held> workload::acquire(worker& self, const locks& on, kind what, std::uint32_t weight,
                               const std::stop_token& stop) const {
    const bool looks = self.dice.permille(100);
    const bool soon = self.dice.permille(50);
    const auto limit = self.dice.between(nanoseconds(1ms), nanoseconds(60ms));
    const std::string name = name_of(what);
    if (what == kind::permits) {
        auto permits = on.semaphore(name, all_permits);
        return looks  ? permits.try_acquire(weight)
               : soon ? permits.try_acquire_for(weight, limit, stop)
                      : permits.acquire(weight, stop);
    }
    if (what == kind::shared && weight != writer) {
        auto lock = on.shared_mutex(name);
        return looks  ? lock.try_acquire_shared()
               : soon ? lock.try_acquire_shared_for(limit, stop)
                      : lock.acquire_shared(stop);
    }
    auto lock = on.mutex(name);
    return looks ? lock.try_acquire() : soon ? lock.try_acquire_for(limit, stop) : lock.acquire(stop);
}

void workload::take_turn(worker& self, kind what, held mine, instant called, std::uint32_t weight) {
    const instant acquired = boottime();
    turn seen{called, acquired, acquired, mine.token().value(), weight, nanoseconds(overlap_ns_.load())};
    self.last_granted_ns = acquired.time_since_epoch().count();
    self.doing = "holds";
    self.holds = true;
    // Long enough now and then for a watch of its own to begin.
    const auto length = self.dice.permille(20) ? self.dice.between(nanoseconds(300ms), nanoseconds(600ms))
                                               : self.dice.between(nanoseconds(0ms), nanoseconds(10ms));
    bool lost = false;
    do {
        const instant looked = boottime();
        lost = mine.is_lost();
        if (lost) {
            break;
        }
        seen.ended = looked;
        std::this_thread::sleep_for(500us);
    } while ((boottime() < acquired + length || clinging_ == self.client) && !finished_);
    self.holds = false;
    const instant released = boottime();
    if (!lost && !mine.is_lost()) {
        seen.ended = released;
    }
    seen.overlap = std::max(seen.overlap, nanoseconds(overlap_ns_.load()));
    self.doing = "releases";
    const auto outcome = mine.release();
    if (!outcome && outcome.error().code() != errc::lost && outcome.error().code() != errc::unavailable &&
        outcome.error().code() != errc::unknown_outcome && outcome.error().code() != errc::unauthorized) {
        complain(self.who + ": release failed: " + outcome.error().message());
    }
    const std::lock_guard lock(mutex_);
    ++tally_.turns;
    tally_.lost += lost || (!outcome && outcome.error().code() == errc::lost) ? 1U : 0U;
    auto& turns = what == kind::exclusive ? of_mutex_
                  : what == kind::shared  ? of_readers_and_writers_
                                          : of_permits_;
    turns.push_back(seen);
}

void workload::failed(worker& self, const error& why) {
    switch (why.code()) {
    case errc::busy:
    case errc::timed_out:
    case errc::cancelled:
        return;
    case errc::unknown_outcome:
        if (!why.ends_in() || *why.ends_in() > plan_.ttl + op_timeout + 1s) {
            const auto left =
                std::chrono::duration_cast<std::chrono::milliseconds>(why.ends_in().value_or(-1ms));
            complain(self.who + ": an unknown outcome ends in " + std::to_string(left.count()) +
                     " ms: " + why.message());
        }
        break;
    case errc::lost:
    case errc::unavailable:
    case errc::unauthorized:
        break;
    default:
        complain(self.who + ": " + why.message());
    }
    {
        const std::lock_guard lock(mutex_);
        self.last_failure = why.message();
        tally_.unknown += why.code() == errc::unknown_outcome ? 1U : 0U;
        tally_.unauthorized += why.code() == errc::unauthorized ? 1U : 0U;
        tally_.failed += why.code() == errc::unavailable || why.code() == errc::lost ? 1U : 0U;
    }
    self.doing = "pauses after a failure";
    std::this_thread::sleep_for(pause_after_failure);
}

void workload::complain(const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (complaints_.size() < most_complaints) {
        complaints_.push_back(text);
    }
}

bool workload::all_served_since(instant since) const {
    return std::ranges::all_of(workers_, [&](const auto& one) {
        return one->last_granted_ns.load() > since.time_since_epoch().count();
    });
}

bool workload::client_served_since(std::size_t client, instant since) const {
    return std::ranges::all_of(workers_, [&](const auto& one) {
        return one->client != client || one->last_granted_ns.load() > since.time_since_epoch().count();
    });
}

std::string workload::unserved_since(instant since) const {
    const std::lock_guard lock(mutex_);
    std::string text;
    for (const auto& one : workers_) {
        if (one->last_granted_ns.load() <= since.time_since_epoch().count()) {
            text += one->who + " " + one->doing.load() +
                    (one->last_failure.empty() ? "" : ", failed last with: " + one->last_failure) + "; ";
        }
    }
    return text;
}

tally workload::so_far() const {
    const std::lock_guard lock(mutex_);
    return tally_;
}

std::vector<std::string> workload::broken() const {
    std::vector<turn> exclusive;
    std::vector<turn> shared;
    std::vector<turn> permits;
    std::vector<std::string> all;
    {
        const std::lock_guard lock(mutex_);
        exclusive = of_mutex_;
        shared = of_readers_and_writers_;
        permits = of_permits_;
        all = complaints_;
    }
    const auto add = [&](const promise& what, std::vector<turn> turns) {
        for (std::string& text : broken_promises(what, std::move(turns))) {
            all.push_back(std::move(text));
        }
    };
    add({name_of(kind::exclusive), 1, true}, std::move(exclusive));
    add({name_of(kind::shared), writer, false}, std::move(shared));
    add({name_of(kind::permits), all_permits, false}, std::move(permits));
    return all;
}

} // namespace holdfast::chaos
