#include "seats.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "core/boottime.hpp"

namespace holdfast::redis {

using core::latch_guard;

namespace {

constexpr std::uint64_t bell_number = 0;

void change(int poll, int operation, int descriptor, std::uint32_t events, std::uint64_t number) {
    epoll_event what{};
    what.events = events;
    what.data.u64 = number;
    static_cast<void>(::epoll_ctl(poll, operation, descriptor, &what));
}

void ring_bell(int bell) {
    const std::uint64_t one = 1;
    static_cast<void>(::write(bell, &one, sizeof one));
}

/// As epoll counts: in whole milliseconds, rounded up.
int milliseconds_until(instant until) {
    constexpr std::chrono::milliseconds longest(std::chrono::hours(1));
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        std::clamp<std::chrono::nanoseconds>(until - boottime(), std::chrono::nanoseconds(0), longest));
    return static_cast<int>(left.count());
}

} // namespace

struct seats::seat {
    seat() = default;
    seat(const seat&) = delete;
    seat& operator=(const seat&) = delete;
    ~seat() {
        for (const int each : {poll, bell}) {
            if (each >= 0) {
                ::close(each);
            }
        }
    }

    int poll = -1;
    int bell = -1; ///< An eventfd.
    parking_place* place = nullptr;
    bool rung = false;
    bool sleeps = false; ///< Counted among those asleep on the channel.
    channel on = channel::commands;
    std::uint64_t registered = 0; ///< The source that the kernel watches for this seat.
};

seats::seats() : cover_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (cover_ < 0) {
        throw std::system_error(errno, std::generic_category(), "epoll_create1");
    }
}

seats::~seats() {
    {
        // The last reference to a connection that nobody has closed: it asks us to forget it.
        const auto open = std::exchange(entries_, {});
    }
    ::close(cover_);
}

seats::seat* seats::take(parking_place& of) {
    const latch_guard locked(guard_);
    for (const auto& each : seats_) {
        if (each->place == nullptr) {
            each->place = &of;
            return each.get();
        }
    }
    if (seats_.size() == most_seats) {
        return nullptr;
    }
    auto made = std::make_unique<seat>();
    made->poll = ::epoll_create1(EPOLL_CLOEXEC);
    made->bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made->poll < 0 || made->bell < 0) {
        return nullptr;
    }
    // Edge-triggered: nobody has to read what was written into it.
    change(made->poll, EPOLL_CTL_ADD, made->bell, EPOLLIN | EPOLLET, bell_number);
    made->place = &of;
    seats_.push_back(std::move(made));
    return seats_.back().get();
}

// Registers the seat's descriptor on the channel's connection. Who waits for messages takes his place in the
// kernel's queue anew at every sleep, behind those who stood in line before him.
void seats::listen(seat& mine, channel on) {
    entry* const wanted = entry_on(on);
    const bool anew = !mine.sleeps || mine.on != on;
    const std::uint64_t number = wanted == nullptr ? 0 : wanted->number;
    if (mine.registered != 0 && (mine.registered != number || (anew && on == channel::messages))) {
        for (const entry& each : entries_) {
            if (each.number == mine.registered) {
                change(mine.poll, EPOLL_CTL_DEL, each.what->descriptor(), 0, 0);
            }
        }
        mine.registered = 0;
    }
    if (wanted != nullptr && mine.registered == 0) {
        change(mine.poll, EPOLL_CTL_ADD, wanted->what->descriptor(), EPOLLIN | EPOLLEXCLUSIVE, number);
        mine.registered = number;
    }
    if (wanted != nullptr && wanted->covered && !wanted->sends) {
        set_cover(*wanted, false, false);
    }
    if (anew) {
        if (mine.sleeps) {
            --of(mine.on).asleep;
        }
        ++of(on).asleep;
        mine.sleeps = true;
        mine.on = on;
    }
}

bool seats::lie_down(seat& mine, channel on) {
    const latch_guard locked(guard_);
    listen(mine, on);
    mine.rung = false;
    return anything_uncovered();
}

std::uint64_t seats::sleep(seat& mine, instant until) {
    if (mine.place->notified()) {
        return 0; // Before the bell was silenced.
    }
    std::array<epoll_event, 2> events{};
    const int count = ::epoll_wait(mine.poll, events.data(), events.size(), milliseconds_until(until));
    for (int i = 0; i < count; ++i) {
        const std::uint64_t number = events[static_cast<std::size_t>(i)].data.u64;
        if (number != bell_number) {
            of(mine.on).looks.fetch_add(1, std::memory_order_relaxed);
            return number;
        }
    }
    return 0;
}

bool seats::give_back(seat& mine) {
    const latch_guard locked(guard_);
    if (mine.sleeps) {
        --of(mine.on).asleep;
        mine.sleeps = false;
    }
    mine.place = nullptr;
    return anything_uncovered();
}

// The bell is rung without the guard, which whoever wakes up takes first. Seats are there as long as we are.
void seats::ring(parking_place& of) {
    int bell = -1;
    {
        const latch_guard locked(guard_);
        for (const auto& each : seats_) {
            if (each->place == &of && !std::exchange(each->rung, true)) {
                bell = each->bell;
            }
        }
    }
    if (bell >= 0) {
        ring_bell(bell);
    }
}

// The sources

seats::entry* seats::entry_on(channel on) {
    for (entry& each : entries_) {
        if (each.on == on) {
            return &each;
        }
    }
    return nullptr;
}

seats::entry* seats::entry_of(const source& which) {
    for (entry& each : entries_) {
        if (each.what.get() == &which) {
            return &each;
        }
    }
    return nullptr;
}

void seats::look_after(channel on, std::shared_ptr<source> which) {
    const latch_guard locked(guard_);
    entries_.push_back({.what = std::move(which), .on = on, .number = ++last_number_});
    if (on == channel::other) {
        set_cover(entries_.back(), true, false);
    }
    for (const auto& each : seats_) {
        if (each->place != nullptr && each->on == on) {
            ring_bell(each->bell); // It sleeps on what was there before, or on nothing.
        }
    }
}

// A descriptor that is closed while a forked child still has it would otherwise stay in the kernel's lists,
// and nobody could take it out of them.
void seats::forget(const source& which) {
    const latch_guard locked(guard_);
    entry* const gone = entry_of(which);
    if (gone == nullptr) {
        return;
    }
    for (const auto& each : seats_) {
        if (each->registered == gone->number) {
            change(each->poll, EPOLL_CTL_DEL, which.descriptor(), 0, 0);
            each->registered = 0;
        }
    }
    set_cover(*gone, false, false);
    std::erase_if(entries_, [&](const entry& each) { return each.what.get() == &which; });
}

void seats::set_cover(entry& which, bool covered, bool sends) {
    const bool before = std::exchange(which.covered, covered);
    which.sends = sends;
    if (before || covered) {
        change(cover_,
               !covered ? EPOLL_CTL_DEL
               : before ? EPOLL_CTL_MOD
                        : EPOLL_CTL_ADD,
               which.what->descriptor(), sends ? EPOLLIN | EPOLLOUT : EPOLLIN, which.number);
    }
}

void seats::wants_to_send(const source& which) {
    const latch_guard locked(guard_);
    if (entry* const found = entry_of(which)) {
        set_cover(*found, true, true);
    }
}

void seats::has_sent(const source& which) {
    const latch_guard locked(guard_);
    if (entry* const found = entry_of(which)) {
        set_cover(*found, true, false);
    }
}

std::shared_ptr<source> seats::find(std::uint64_t number) {
    const latch_guard locked(guard_);
    for (const entry& each : entries_) {
        if (each.number == number) {
            return each.what;
        }
    }
    return nullptr;
}

std::vector<std::shared_ptr<source>> seats::all() {
    std::vector<std::shared_ptr<source>> found;
    const latch_guard locked(guard_);
    for (const entry& each : entries_) {
        found.push_back(each.what);
    }
    return found;
}

// Covering

std::vector<std::uint64_t> seats::ready_to_cover() const {
    std::array<epoll_event, 8> events{};
    const int count = ::epoll_wait(cover_, events.data(), events.size(), 0);
    std::vector<std::uint64_t> ready;
    for (int i = 0; i < count; ++i) {
        const std::uint64_t number =
            events[static_cast<std::size_t>(i)].data.u64; // It is packed: no reference.
        ready.push_back(number);
    }
    return ready;
}

bool seats::uncovered(channel on) {
    const connection_state& state = of(on);
    if (state.expected.load(std::memory_order_relaxed) == 0 || state.asleep > 0) {
        return false;
    }
    const entry* const found = entry_on(on);
    return found != nullptr && !found->covered;
}

bool seats::cover(bool at_once) {
    const latch_guard locked(guard_);
    bool left = false;
    for (const channel on : {channel::commands, channel::messages}) {
        connection_state& state = of(on);
        const std::uint64_t looks = state.looks.load(std::memory_order_relaxed);
        const bool quiet = std::exchange(state.looks_before, looks) == looks;
        if (!uncovered(on)) {
            continue;
        }
        if (at_once || quiet) {
            set_cover(*entry_on(on), true, false);
        } else {
            left = true;
        }
    }
    return left;
}

} // namespace holdfast::redis
