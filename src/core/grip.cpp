#include "grip.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <new>
#include <utility>
#include <vector>

#include <pthread.h>

#include "adjacent.hpp"
#include "annotations.hpp"
#include "barrier.hpp"
#include "client.hpp"
#include "hold.hpp"
#include "session.hpp"

namespace holdfast::core {

using std::chrono::nanoseconds;

namespace {

/// The grips of one thread. More holds at a time take the long way. Never freed: another thread may look
/// through them at any moment; a later thread takes over those of one that has ended.
struct alignas(1024) handful { // Of one page.
    std::array<grip, 8> all;
    std::atomic<bool> owned{true};
    handful* next = nullptr;
};

std::atomic<handful*> every_handful{nullptr};

handful* take_handful() noexcept {
    for (handful* each = every_handful.load(std::memory_order_acquire); each != nullptr; each = each->next) {
        bool owned = false;
        if (each->owned.compare_exchange_strong(owned, true)) {
            return each;
        }
    }
    auto* const fresh = new (std::nothrow) handful;
    if (fresh != nullptr) {
        fresh->next = every_handful.load(std::memory_order_relaxed);
        while (!every_handful.compare_exchange_weak(fresh->next, fresh, std::memory_order_release,
                                                    std::memory_order_relaxed)) {
        }
    }
    return fresh;
}

constinit thread_local handful* mine = nullptr;
constinit thread_local bool ended = false;

/// Gives the grips on when the thread ends. What is still held in them stays there until it is released.
struct owner {
    ~owner() {
        ended = true;
        if (mine != nullptr) {
            std::exchange(mine, nullptr)->owned.store(false);
        }
    }
};

[[gnu::noinline]] handful* my_first_handful() noexcept {
    if (ended) { // In the destructor of another thread_local: there would be nobody to give them on.
        return nullptr;
    }
    static thread_local owner gives_them_back;
    static_cast<void>(gives_them_back);
    return mine = take_handful();
}

/// How many lanes are retired and still used, as far as is known: every release reads it.
constinit std::atomic<std::size_t> retired_count{0};

struct retired_lanes {
    latch guard;
    std::vector<std::unique_ptr<lane>> all GUARDED_BY(guard);
};

retired_lanes& retired() noexcept {
    static auto* const one = new retired_lanes; // For ever: threads may release while the program ends.
    static const int registered = pthread_atfork([]() NO_THREAD_SAFETY_ANALYSIS { one->guard.lock(); },
                                                 []() NO_THREAD_SAFETY_ANALYSIS { one->guard.unlock(); },
                                                 []() NO_THREAD_SAFETY_ANALYSIS { one->guard.unlock(); });
    static_cast<void>(registered); // Without it a child could find the list as nobody left it.
    return *one;
}

bool in_use(const lane& which) noexcept {
    for (const handful* each = every_handful.load(std::memory_order_acquire); each != nullptr;
         each = each->next) {
        if (std::any_of(each->all.begin(), each->all.end(),
                        [&](const grip& one) { return one.uses(&which); })) {
            return true;
        }
    }
    return false;
}

/// Destroys the retired lanes that no hold uses any more.
void sweep() noexcept {
    std::vector<std::unique_ptr<lane>> unused; // Destroyed outside the lock: it may end a session.
    retired_lanes& lanes = retired();
    const latch_guard locked(lanes.guard);
    const auto first = std::stable_partition(lanes.all.begin(), lanes.all.end(),
                                             [](const auto& each) { return in_use(*each); });
    std::move(first, lanes.all.end(), std::back_inserter(unused));
    lanes.all.erase(first, lanes.all.end());
    retired_count.store(lanes.all.size(), std::memory_order_relaxed);
}

} // namespace

HOLDFAST_AFTER_WAKE grip* grip::acquire(const std::atomic<lane*>& current, std::uint32_t weight,
                                        bool may_wait) noexcept {
    lane* const in = current.load(std::memory_order_acquire);
    if (in == nullptr) {
        return nullptr;
    }
    handful* const here = mine != nullptr ? mine : my_first_handful();
    if (here == nullptr) {
        return nullptr;
    }
    const auto free =
        std::find_if(here->all.begin(), here->all.end(), [](const grip& each) { return each.uses(nullptr); });
    if (free == here->all.end()) {
        return nullptr;
    }
    free->uses_.store(in, std::memory_order_relaxed);
    light_barrier();
    if (current.load(std::memory_order_acquire) == in && in->shape.weight == weight &&
        in->on->reason() == loss_reason::none) {
        std::atomic<std::uint64_t>& highest = in->record->highest_token;
        const std::uint64_t seen = highest.load(std::memory_order_relaxed);
        holdfast::token granted = in->path->try_acquire(free->ticket_);
        if (granted.value() == 0 && may_wait) {
            free->out_ = in->out;
            free->reason_ = &in->on->where_reason();
            granted = in->path->wait_and_acquire(free->ticket_, &highest);
        }
        free->token_ = granted;
        if (granted.value() > seen) [[likely]] {
            if (weight == lock_capacity) {
                // No exchange: we hold the name. Only who holds it no more without knowing could write beside
                // us, and the mark would be a little low for a moment.
                highest.store(granted.value(), std::memory_order_relaxed);
            } else {
                in->record->note(granted.value());
            }
            return &*free;
        }
        if (granted.value() != 0 && !in->path->release(free->ticket_)) {
            in->path->remove(free->ticket_); // Tokens went back: the long way will say so.
        }
    }
    free->leave_lane();
    return nullptr;
}

[[gnu::hot]] bool grip::is_of_this_thread() const noexcept {
    return mine != nullptr &&
           reinterpret_cast<std::uintptr_t>(this) - reinterpret_cast<std::uintptr_t>(mine->all.data()) <
               sizeof mine->all;
}

void grip::visit(const std::function<void(grip&)>& each_is_told) {
    for (handful* each = every_handful.load(std::memory_order_acquire); each != nullptr; each = each->next) {
        std::for_each(each->all.begin(), each->all.end(), each_is_told);
    }
}

grip* grip::on(std::shared_ptr<hold> whole) noexcept {
    if (!whole) {
        return nullptr;
    }
    grip& own = whole->own_grip();
    own.token_ = whole->token();
    own.own_ = std::move(whole);
    own.whole_.store(&own.own_, std::memory_order_release);
    return &own;
}

HOLDFAST_BEFORE_WAKE bool grip::let_go() noexcept {
    if (is_whole()) {
        return false;
    }
    if (out_.release != nullptr) {
        return let_go_after_wait();
    }
    const lane& in = *uses_.load(std::memory_order_relaxed);
    if (in.on->reason() != loss_reason::none || !in.path->release(ticket_)) {
        return false;
    }
    leave_lane();
    return true;
}

/// The same without a look at the lane: before the wake only this grip is read, and what the store needs.
HOLDFAST_BEFORE_WAKE bool grip::let_go_after_wait() noexcept {
    if (reason_->load(std::memory_order_acquire) != loss_reason::none || !out_.release(out_, ticket_)) {
        return false;
    }
    leave_lane();
    return true;
}

std::shared_ptr<hold> grip::take() {
    static_cast<void>(whole());
    std::shared_ptr<hold>* const kept = whole_.exchange(nullptr);
    std::shared_ptr<hold> taken = std::move(*kept);
    if (kept != &own_) {
        delete kept;
        leave_lane();
    }
    return taken;
}

HOLDFAST_BEFORE_WAKE void grip::leave_lane() noexcept {
    out_.release = nullptr;
    uses_.store(nullptr, std::memory_order_release);
    light_barrier();
    if (retired_count.load(std::memory_order_relaxed) != 0) [[unlikely]] {
        sweep();
    }
}

nanoseconds grip::valid_for() {
    if (!is_whole()) {
        const lane& in = *uses_.load(std::memory_order_relaxed);
        const nanoseconds left = in.on->own_lease().remaining(in.on->now());
        if (left > nanoseconds::zero() && in.on->reason() == loss_reason::none && in.path->holds(ticket_)) {
            return left;
        }
    }
    return whole()->valid_for(); // Which finds out why, tells it, and remembers.
}

loss_reason grip::reason() {
    return valid_for() > nanoseconds::zero() ? loss_reason::none : whole()->reason();
}

const std::shared_ptr<hold>& grip::whole() {
    std::shared_ptr<hold>* kept = whole_.load(std::memory_order_acquire);
    if (kept == nullptr) {
        const lane& in = *uses_.load(std::memory_order_relaxed);
        auto made = std::make_unique<std::shared_ptr<hold>>(
            std::make_shared<hold>(in.shape, in.on, in.path, ticket_, token_));
        if (whole_.compare_exchange_strong(kept, made.get(), std::memory_order_acq_rel)) {
            kept = made.release();
        }
    }
    return *kept; // Not written any more until it is taken, which is after all that is asked of it.
}

std::unique_ptr<lane> make_lane(std::shared_ptr<session> on, const std::shared_ptr<fast_path>& path,
                                struct claim shape, std::shared_ptr<name_record> record) {
    static const bool possible = heavy_barrier();
    return possible ? std::make_unique<lane>(lane{.on = std::move(on),
                                                  .path = path,
                                                  .out = path->direct_release(),
                                                  .shape = std::move(shape),
                                                  .record = std::move(record)})
                    : nullptr;
}

void retire(std::unique_ptr<lane> unwanted) noexcept {
    // Whoever has found the lane before it was taken away has said so in a place that we can see from here
    // on.
    if (!heavy_barrier()) {
        static_cast<void>(unwanted.release()); // Cannot be told whether it is used: it stays.
        return;
    }
    {
        retired_lanes& lanes = retired();
        const latch_guard locked(lanes.guard);
        lanes.all.push_back(std::move(unwanted));
        retired_count.store(lanes.all.size(), std::memory_order_relaxed);
    }
    // Whoever releases either sees the count, or we see his place empty.
    static_cast<void>(heavy_barrier());
    sweep();
}

} // namespace holdfast::core
