#include "kernel.hpp"

#include <algorithm>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast::sim {

using std::chrono::nanoseconds;

namespace {

constexpr std::uint64_t most_readings = 1'000'000;
constexpr std::uint64_t most_steps = 20'000'000;
constexpr std::int64_t million = 1'000'000;

void await(std::atomic<std::uint32_t>& go) noexcept {
    while (go.exchange(0, std::memory_order_acquire) == 0) {
        syscall(SYS_futex, &go, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    }
}

void hand(std::atomic<std::uint32_t>& go) noexcept {
    go.store(1, std::memory_order_release);
    syscall(SYS_futex, &go, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

} // namespace

instant process::local(true_time at) const noexcept {
    return instant(offset + at +
                   nanoseconds(at.count() / million * ppm + at.count() % million * ppm / million));
}

true_time process::when(instant shown) const noexcept {
    if (shown == instant::max()) {
        return never;
    }
    // Near enough to begin with, then exact.
    const std::int64_t target = (shown.time_since_epoch() - offset).count();
    std::int64_t at = target - target / million * ppm;
    while (local(true_time(at)) < shown) {
        at += std::max<std::int64_t>(1, (shown - local(true_time(at))).count() * 99 / 100);
    }
    return true_time(at);
}

struct kernel::worker {
    std::atomic<std::uint32_t> go{0};
    thread_record* job = nullptr;
    std::thread os;
};

struct kernel::thread_record {
    thread_number number = 0;
    std::string name;
    process* where = nullptr;
    std::function<void()> body;
    std::atomic<std::uint32_t>* go = nullptr;
    const void* place = nullptr; ///< Where it sleeps.
    std::uint64_t sleep = 0;     ///< Counts its sleeps, so that an old timer does not end a new one.
    std::uint64_t tag = 0;
    bool blocked = false;
    bool finished = false;
};

bool kernel::event::stale() const noexcept {
    return wakes != nullptr && (wakes->sleep != sleep || !wakes->blocked);
}

namespace {
thread_local void* current_record = nullptr;
kernel* installed = nullptr;
} // namespace

#define ME (*static_cast<thread_record*>(current_record))

kernel& the_kernel() noexcept {
    return *installed;
}

kernel::kernel() {
    installed = this;
    core::simulator.store(this);
}

kernel::~kernel() {
    closing_.store(true);
    for (const auto& each : workers_) {
        hand(each->go);
        each->os.join();
    }
    core::simulator.store(nullptr);
    installed = nullptr;
}

void kernel::run(std::uint64_t seed, const std::function<void()>& body, last_words stuck) {
    dice_ = dice(seed);
    time_ = {};
    fingerprint_ = seed;
    steps_ = readings_ = events_made_ = 0;
    stuck_ = std::move(stuck);
    processes_.clear();
    threads_.clear();
    runnable_.clear();
    events_.clear();
    process& lab = add_process({.name = "lab"});
    nobody_ = std::make_unique<thread_record>();
    nobody_->name = "event";
    nobody_->where = &lab;
    std::atomic<std::uint32_t> go{0};
    auto& first = *threads_.emplace_back(std::make_unique<thread_record>());
    first.name = "main";
    first.where = &lab;
    first.go = &go;
    alive_ = 1;
    current_record = &first;
    body();
    current_record = nullptr;
}

process& kernel::add_process(process what) {
    return *processes_.emplace_back(std::make_unique<process>(std::move(what)));
}

process& kernel::mine() noexcept {
    return *ME.where;
}

std::uint64_t& kernel::tag() noexcept {
    return ME.tag;
}

kernel::impersonation::impersonation(kernel&, process& whom) : me(ME), before(me.where) {
    me.where = &whom;
}

kernel::impersonation::~impersonation() {
    me.where = before;
}

void kernel::tell(const std::string& line) {
    std::array<char, 48> stamp{};
    std::snprintf(stamp.data(), stamp.size(), "%12.6f s ", std::chrono::duration<double>(time_).count());
    const auto* me = static_cast<thread_record*>(current_record);
    listener(stamp.data() + (me != nullptr ? me->where->name + "/" + me->name + " " : std::string()) + line);
}

void kernel::fail(const std::string& why) noexcept {
    stuck_(why);
    _exit(3);
}

std::string kernel::threads() const {
    std::string all;
    for (const auto& each : threads_) {
        if (!each->finished) {
            all += "  " + each->where->name + "/" + each->name + (each->blocked ? " waits" : " can run") +
                   (each->where->paused ? ", paused\n" : "\n");
        }
    }
    return all;
}

// Events

void kernel::push(event what) {
    what.number = ++events_made_;
    events_.push_back(std::move(what));
    std::push_heap(events_.begin(), events_.end());
}

void kernel::at(true_time when, std::function<void()> what) {
    push({.when = std::max(when, time_), .number = 0, .call = std::move(what)});
}

bool kernel::advance(true_time latest) noexcept {
    while (!events_.empty() && events_.front().when <= latest) {
        std::pop_heap(events_.begin(), events_.end());
        event next = std::move(events_.back());
        events_.pop_back();
        if (next.stale()) {
            continue;
        }
        time_ = std::max(time_, next.when);
        if (next.wakes != nullptr) {
            make_runnable(*next.wakes);
        } else {
            void* const before = std::exchange(current_record, nobody_.get());
            next.call();
            current_record = before;
        }
        return true;
    }
    return false;
}

void kernel::run_due() noexcept {
    while (advance(time_)) {
    }
}

// Threads

void kernel::make_runnable(thread_record& which) noexcept {
    which.blocked = false;
    which.place = nullptr;
    runnable_.push_back(&which);
}

kernel::thread_record& kernel::choose() noexcept {
    readings_ = 0;
    if (++steps_ > most_steps) {
        fail("the run does not end\n" + threads());
    }
    time_ += nanoseconds(dice_.below(3000)); // Nothing takes no time.
    run_due();
    for (;;) {
        const auto paused = [](const thread_record* each) { return each->where->paused; };
        const auto ready = static_cast<std::size_t>(
            std::count_if(runnable_.begin(), runnable_.end(), [&](auto* each) { return !paused(each); }));
        if (ready == 0) {
            if (!advance(never)) {
                fail("nobody can run and nothing will happen\n" + threads());
            }
            continue;
        }
        std::size_t chosen = ready == 1 ? 0 : dice_.below(ready);
        for (auto each = runnable_.begin();; ++each) {
            if (!paused(*each) && chosen-- == 0) {
                thread_record& next = **each;
                runnable_.erase(each);
                fingerprint_ =
                    (fingerprint_ ^ next.number ^ static_cast<std::uint64_t>(time_.count())) * 0x100000001b3U;
                return next;
            }
        }
    }
}

void kernel::switch_away(thread_record& from) noexcept {
    thread_record& next = choose();
    if (&next == &from) {
        return;
    }
    hand(*next.go);
    await(*from.go);
}

void kernel::block(const void* place, true_time until) noexcept {
    thread_record& me = ME;
    me.blocked = true;
    me.place = place;
    ++me.sleep;
    if (until != never) {
        push({.when = std::max(until, time_), .number = 0, .call = {}, .wakes = &me, .sleep = me.sleep});
    }
    switch_away(me);
}

void kernel::yield() noexcept {
    thread_record& me = ME;
    if (&me != nobody_.get() && dice_.permille(yields_)) {
        make_runnable(me);
        switch_away(me);
    }
}

void kernel::sleep_until(true_time when) noexcept {
    block(nullptr, when);
}

void kernel::sleep(const void* place, instant until) noexcept {
    true_time when = ME.where->when(until);
    if (when > time_ && dice_.permille(5)) {
        when = time_ + dice_.between(nanoseconds(0), nanoseconds(20'000'000)); // Waking early is allowed.
    }
    if (++readings_ > most_readings) {
        fail("a thread waits in circles\n" + threads());
    }
    block(place, when);
}

void kernel::wake(const void* place) noexcept {
    for (const auto& each : threads_) {
        if (each->blocked && each->place == place) {
            make_runnable(*each);
        }
    }
}

kernel::thread_number kernel::start(std::function<void()> body) {
    return start_in(*ME.where, "library", std::move(body));
}

kernel::thread_number kernel::start_in(process& where, std::string name, std::function<void()> body) {
    if (idle_.empty()) {
        workers_.push_back(std::make_unique<worker>());
        worker& fresh = *workers_.back();
        fresh.os = std::thread([this, &fresh] { work(fresh); });
        idle_.push_back(&fresh);
    }
    worker& on = *idle_.back();
    idle_.pop_back();
    auto& made = *threads_.emplace_back(std::make_unique<thread_record>());
    made.number = threads_.size() - 1;
    made.name = std::move(name) + " " + std::to_string(made.number);
    made.where = &where;
    made.body = std::move(body);
    made.go = &on.go;
    on.job = &made;
    ++alive_;
    make_runnable(made); // It goes on when the caller waits: whoever starts a thread may hold a latch.
    return made.number;
}

void kernel::work(worker& mine) noexcept {
    for (;;) {
        await(mine.go);
        if (closing_.load()) {
            return;
        }
        thread_record& job = *mine.job;
        current_record = &job;
        job.body();
        job.body = nullptr;
        idle_.push_back(&mine);
        finish(job);
    }
}

void kernel::finish(thread_record& which) noexcept {
    which.finished = true;
    --alive_;
    wake(&which);
    thread_record& next = choose();
    current_record = nullptr;
    hand(*next.go);
}

void kernel::join(thread_number which) noexcept {
    thread_record& other = *threads_[static_cast<std::size_t>(which)];
    while (!other.finished) {
        block(&other, never);
    }
}

kernel::thread_number kernel::self() noexcept {
    return ME.number;
}

void kernel::pause(process& whom, true_time until) {
    if (whom.paused) {
        return;
    }
    whom.paused = true;
    const true_time began = time_;
    at(until, [this, &whom, began] {
        whom.paused = false;
        whom.paused_for += time_ - began;
    });
}

instant kernel::now() noexcept {
    if (++readings_ > most_readings) {
        fail("a thread reads the clock in circles\n" + threads());
    }
    return ME.where->local(time_);
}

void kernel::random(std::span<std::uint8_t> out) noexcept {
    for (std::uint8_t& byte : out) {
        byte = static_cast<std::uint8_t>(dice_.next());
    }
}

} // namespace holdfast::sim
