#include "engine.hpp"

#include <algorithm>
#include <system_error>

#include <signal.h>

#include "core/quiet_thread.hpp"

#include "waiting.hpp"

namespace holdfast::local {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

/// Those ahead of a claim that nobody drives are watched at most this long after its append; while the claims
/// of the program all have a thread that waits for them, the thread looks less and less often.
constexpr nanoseconds first_pause = milliseconds(2);
constexpr nanoseconds longest_pause = milliseconds(64);

constexpr instant forever = instant::max();

instant present() noexcept {
    return now(clock_source::monotonic);
}

std::vector<std::shared_ptr<attended>> all_attended(engine_state& state) {
    std::vector<std::shared_ptr<attended>> all;
    const core::latch_guard locked(state.guard);
    std::erase_if(state.sessions, [&all](const auto& each) {
        auto alive = each.lock();
        const bool gone = alive == nullptr;
        if (!gone) {
            all.push_back(std::move(alive));
        }
        return gone;
    });
    return all;
}

void ring(engine_state& state) noexcept {
    state.control.fetch_add(cell::poke);
    futex_wake_all(state.control);
    word32* const bell = state.bell.load();
    if (bell != nullptr && bell != &state.control) {
        bell->fetch_add(cell::poke);
        futex_wake_all(*bell);
    }
}

void run(engine_state& state) {
    nanoseconds pause = first_pause;
    instant adopt_at = forever;
    nanoseconds late{};
    std::vector<futex_watch> watches;
    while (!state.stop.load()) {
        const std::uint32_t control = state.control.load();
        watches.clear();
        attendance turn{.watches = watches, .until = forever, .now = present(), .late = late};
        if (adopt_at == forever && state.called.load()) {
            adopt_at = turn.now + pause;
        }
        if (turn.now >= adopt_at) {
            adopt_at = forever;
            state.called.store(false);
            turn.adopt = true;
        }
        turn.until = adopt_at;
        for (const auto& each : all_attended(state)) {
            each->attend(turn);
        }
        if (turn.adopt) {
            pause = turn.adopted ? first_pause : std::min(2 * pause, longest_pause);
        }
        // The first word is the one that every kernel can sleep on without a nap; whoever rings the control
        // rings it too.
        if (watches.empty() || waits_for_many()) {
            // A wake of what lies in the segment may not come any more (segment::cover).
            watches.push_back({&state.control, control});
        }
        state.bell.store(watches.front().word);
        if (state.control.load() != control) {
            late = nanoseconds::zero();
            continue;
        }
        static_cast<void>(futex_wait_any(watches, turn.until));
        pass_on_deaths(*state.memory, watches);
        late = turn.until == forever ? nanoseconds::zero() : present() - turn.until;
    }
}

void* thread_main(void* argument) {
    const std::unique_ptr<std::shared_ptr<engine_state>> state(
        static_cast<std::shared_ptr<engine_state>*>(argument));
    const bool lent = (*state)->lender != 0;
    if (!lent) {
        (*state)->lives.register_this_thread();
    }
    (*state)->started.store(true, std::memory_order_release);
    (*state)->started.notify_all();
    run(**state);
    if (!lent) {
        (*state)->lives.unregister_this_thread();
    }
    return nullptr;
}

/// Whether this thread's list is lent: the kernel knows one for each thread.
constinit thread_local bool has_lent = false;

} // namespace

void attendance::sleep_on(word32& word, std::uint32_t value) {
    if (watches.size() + 1 < max_watches) { // One is the thread's own.
        watches.push_back({&word, value});
    } else {
        until = std::min(until, now + fallback_nap);
    }
}

engine::engine(std::shared_ptr<segment> memory, bool thread_later)
    : state_(std::make_shared<engine_state>(std::move(memory))), mark_(core::process_mark()) {
    if (thread_later && !has_lent) {
        has_lent = true;
        state_->lender = pthread_self();
        state_->lives.register_this_thread();
    } else {
        start_thread();
    }
}

void engine::start_thread() {
    const core::latch_guard locked(starting_);
    if (runs_.load()) {
        return;
    }
    const sigset_t all = core::quiet_signals();
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    auto argument = std::make_unique<std::shared_ptr<engine_state>>(state_);
    const int failed = pthread_create(&thread_, nullptr, thread_main, argument.get());
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (failed != 0) {
        throw std::system_error(failed, std::generic_category(), "no thread left for the local store");
    }
    static_cast<void>(argument.release());
    state_->started.wait(false, std::memory_order_acquire);
    runs_.store(true, std::memory_order_release);
}

engine::~engine() {
    if (forked()) {
        return; // The thread is the parent's.
    }
    if (runs_.load()) {
        state_->stop.store(true);
        ring(*state_);
        // The last reference may have gone away in an event: then it ends by itself. And without futex_waitv
        // it may sleep for ever on a word that no wake reaches any more.
        const bool sleeps_on = memory().covered() && !waits_for_many();
        if (on_thread() || sleeps_on) {
            pthread_detach(thread_);
        } else {
            pthread_join(thread_, nullptr);
        }
    }
    if (state_->lender == 0) {
        return;
    }
    if (pthread_equal(state_->lender, pthread_self()) != 0) {
        state_->lives.unregister_this_thread();
        has_lent = false;
    } else {
        // The kernel looks at the list when the thread that lent itself ends.
        static_cast<void>(new std::shared_ptr<engine_state>(state_));
    }
}

void engine::add(const std::shared_ptr<attended>& what) {
    {
        const core::latch_guard locked(state_->guard);
        state_->sessions.push_back(what);
    }
    if (runs_.load()) { // Before it looks at all of them when it begins.
        ring(*state_);
    }
}

void engine::look_up() noexcept {
    ring(*state_);
}

void engine::call_thread() noexcept {
    if (!state_->called.exchange(true)) {
        ring(*state_);
    }
}

} // namespace holdfast::local
