// What simulated programs do with Holdfast: random users of every face.
#include "actor.hpp"

#include <utility>

#include <holdfast/async.hpp>

#include "support/detached.hpp"

namespace holdfast::sim {

using namespace std::chrono_literals;
using testing::detached;
namespace {

template <typename Awaitable, typename Outcome>
detached await_into(Awaitable operation, std::optional<Outcome>& answer, kernel& on) {
    auto outcome = co_await operation;
    answer.emplace(std::move(outcome));
    on.wake(&answer);
}

template <typename Outcome>
void wait_for(const std::optional<Outcome>& answer, kernel& on) {
    while (!answer) {
        on.sleep(&answer, instant::max());
    }
}

/// The coroutine form of any face.
template <typename Face, typename... Weight>
acquire_awaitable await(Face face, const wish& what, const std::stop_token& stop, Weight... weight) {
    switch (what.how) {
    case call_record::kind::at_once:
        return face.try_acquire_async(weight...);
    case call_record::kind::timed:
        return face.acquire_async_for(weight..., what.limit, stop);
    default:
        return face.acquire_async(weight..., stop);
    }
}

acquire_awaitable await_shared(shared_mutex face, const wish& what, const std::stop_token& stop) {
    switch (what.how) {
    case call_record::kind::at_once:
        return face.try_acquire_shared_async();
    case call_record::kind::timed:
        return face.acquire_shared_async_for(what.limit, stop);
    default:
        return face.acquire_shared_async(stop);
    }
}

} // namespace

void actor::live() {
    nap(plan_.ttl / 4);
    while (!over()) {
        if (dice_.permille(150)) {
            lock_and_unlock();
        } else if (dice_.permille(300)) {
            one_program();
        } else if (auto mine = acquire(make_wish())) {
            use(std::move(*mine));
        }
        nap(plan_.ttl / 4);
    }
    last_round();
}

/// All is well again: whoever asks now must get everything in turn.
void actor::last_round() {
    if (kernel_.time() < plan_.heals) {
        kernel_.sleep_until(plan_.heals);
    }
    const std::size_t first = dice_.below(mutex_names.size());
    for (std::size_t i = 0; i < mutex_names.size() && !me_.who->crashed; ++i) {
        wish what{.name = mutex_names[(first + i) % mutex_names.size()]};
        if (what.name == "s0") {
            what.capacity = world::permits;
            what.weight = static_cast<std::uint32_t>(dice_.between(1, world::permits));
        }
        if (auto mine = acquire(what)) {
            let_go(std::move(*mine));
        }
    }
}

wish actor::make_wish() {
    wish what{.name = mutex_names[dice_.below(mutex_names.size())]};
    if (what.name == "s0") {
        what.capacity = world::permits;
        what.weight = static_cast<std::uint32_t>(dice_.between(1, world::permits));
    } else if (what.name == "rw" && dice_.permille(600)) {
        what.weight = 1;
    } else if (dice_.permille(60)) {
        what.name = mixed_name;
        what.capacity = dice_.one_of<std::uint32_t, 3>({lock_capacity, 2, 5});
        what.weight =
            what.capacity == lock_capacity ? lock_capacity : static_cast<std::uint32_t>(dice_.between(1, 2));
    }
    switch (dice_.below(5)) {
    case 0:
        what.how = call_record::kind::at_once;
        break;
    case 1:
        what.how = call_record::kind::timed;
        what.limit = dice_.between(nanoseconds(1ms), 2 * plan_.ttl);
        break;
    default:
        break;
    }
    if (what.how != call_record::kind::at_once && dice_.permille(250)) {
        what.cancel_after = dice_.between(nanoseconds(0), plan_.ttl);
    }
    what.async = dice_.permille(250);
    what.coroutine = what.async && dice_.permille(400);
    return what;
}

namespace {

template <typename Face, typename... Weight>
result<held> ask(Face face, const wish& what, const std::stop_token& stop, Weight... weight) {
    switch (what.how) {
    case call_record::kind::at_once:
        return face.try_acquire(weight...);
    case call_record::kind::timed:
        return face.try_acquire_for(weight..., what.limit, stop);
    default:
        return face.acquire(weight..., stop);
    }
}

} // namespace

result<held> actor::call(const wish& what, const std::stop_token& stop) {
    const locks& on = client();
    if (what.capacity != lock_capacity) {
        return ask(on.semaphore(what.name, what.capacity), what, stop, what.weight);
    }
    if (what.name != "rw") {
        return ask(on.mutex(what.name), what, stop);
    }
    auto face = on.shared_mutex(what.name);
    if (what.weight == lock_capacity) {
        return ask(face, what, stop);
    }
    switch (what.how) {
    case call_record::kind::at_once:
        return face.try_acquire_shared();
    case call_record::kind::timed:
        return face.try_acquire_shared_for(what.limit, stop);
    default:
        return face.acquire_shared(stop);
    }
}

result<held> actor::call_async(const wish& what, const std::stop_token& stop) {
    std::optional<result<held>> answer;
    const auto done = [&answer, this](result<held> outcome) {
        answer.emplace(std::move(outcome));
        kernel_.wake(&answer);
    };
    acquire_options how{.only_if_free = what.how == call_record::kind::at_once, .stop = stop};
    if (what.how == call_record::kind::timed) {
        how.limit = what.limit;
    }
    const locks& on = client();
    if (what.coroutine) {
        await_into(what.capacity != lock_capacity
                       ? await(on.semaphore(what.name, what.capacity), what, stop, what.weight)
                   : what.name != "rw"            ? await(on.mutex(what.name), what, stop)
                   : what.weight == lock_capacity ? await(on.shared_mutex(what.name), what, stop)
                                                  : await_shared(on.shared_mutex(what.name), what, stop),
                   answer, kernel_);
        wait_for(answer, kernel_);
        return std::move(*answer);
    }
    if (what.capacity != lock_capacity) {
        on.semaphore(what.name, what.capacity).async_acquire(what.weight, how, done);
    } else if (what.name != "rw") {
        on.mutex(what.name).async_acquire(how, done);
    } else if (what.weight == lock_capacity) {
        on.shared_mutex(what.name).async_acquire(how, done);
    } else {
        on.shared_mutex(what.name).async_acquire_shared(how, done);
    }
    wait_for(answer, kernel_);
    return std::move(*answer);
}

std::optional<kept> actor::acquire(const wish& what) {
    stoppable call_of(*this, what.how, what.name.c_str());
    const auto& call_made = call_of.made;
    const auto& stop = call_of.stop;
    call_made->limit = what.limit;
    kernel_.say("call ", call_made->number, " asks for ", what.name, ", weight ", what.weight,
                what.how == call_record::kind::at_once ? " at once"
                : what.how == call_record::kind::timed ? " for a while"
                                                       : "",
                what.coroutine ? ", in a coroutine"
                : what.async   ? ", async"
                               : "");
    if (what.cancel_after) {
        call_of.cancel_in(*what.cancel_after);
    }
    auto outcome = what.async ? call_async(what, stop->get_token()) : call(what, stop->get_token());
    if (!outcome) {
        watcher_.fails(*call_made, outcome.error());
        return std::nullopt;
    }
    return keep(*call_made, what.name, std::make_shared<held>(std::move(*outcome)), what.weight,
                what.capacity);
}

kept actor::keep(const call_record& call, const std::string& name, std::shared_ptr<held> handle,
                 std::uint32_t weight, std::uint32_t capacity) {
    kept mine;
    mine.handle = std::move(handle);
    mine.record = std::make_shared<hold_record>();
    hold_record& record = *mine.record;
    record.where = me_.who;
    record.name = name;
    record.weight = weight;
    record.capacity = capacity;
    record.exclusive = weight == capacity;
    record.token = mine.handle->token().value();
    record.lent = name == turns_name && !plan_.engine_settings.fast;
    record.valid_for = [handle = mine.handle] { return handle->valid_for(); };
    record.reason = [handle = mine.handle] { return handle->reason(); };
    watcher_.granted(call, mine.record);
    return mine;
}

void actor::use(kept mine) {
    if (dice_.permille(600)) {
        mine.record->subscribed = true;
        mine.on_lost = std::make_shared<std::stop_callback<std::function<void()>>>(
            mine.handle->lost(), [this, record = mine.record] { watcher_.told(*record); });
    }
    hold_for_a_while(mine);
    if (dice_.permille(200)) {
        // A handle may end on another thread than the one that got it.
        const auto record = mine.record;
        const auto other = kernel_.start_in(*me_.who, "mover", [this, moved = std::move(mine)]() mutable {
            hold_for_a_while(moved);
            let_go(std::move(moved));
        });
        kernel_.join(other);
    } else {
        let_go(std::move(mine));
    }
}

void actor::hold_for_a_while(const kept& mine) {
    for (std::int64_t steps = dice_.between(0, 3); steps > 0 && !over(); --steps) {
        nap(dice_.permille(100) ? plan_.granted_ttl() * 3 / 2 : plan_.ttl / 4);
        if (!watcher_.observe(*mine.record) && dice_.permille(700)) {
            return; // A good program stops when it has lost its hold.
        }
        if (mine.record->exclusive && dice_.permille(400)) { // Tokens fence exclusive holds only.
            const auto late = dice_.permille(200) ? dice_.between(nanoseconds(0), plan_.ttl)
                                                  : dice_.between(nanoseconds(0), nanoseconds(5ms));
            kernel_.at(kernel_.time() + late,
                       [record = mine.record, &watcher = watcher_] { watcher.write(*record); });
        }
    }
}

void actor::let_go(kept mine) {
    const auto record = mine.record;
    const auto how = dice_.below(5);
    record->leaves_later = how == 2;
    watcher_.releasing(record);
    const instant began = kernel_.now();
    const nanoseconds paused = me_.who->paused_for;
    std::optional<result<void>> outcome;
    switch (how) {
    case 0:
        mine.handle.reset(); // The destructor.
        break;
    case 1: {
        *mine.handle = held(); // Move-assignment ends the old hold first.
        break;
    }
    case 2:
        await_into(release_async(std::move(*mine.handle)), outcome, kernel_);
        wait_for(outcome, kernel_);
        break;
    default:
        outcome = mine.handle->release();
    }
    watcher_.released(*record, began, paused, outcome);
    settle(record);
    // Here the stop_callback goes.
}

/// Gives the notifier its turn.
void actor::settle(const std::shared_ptr<hold_record>& record) {
    if (record->subscribed && record->lost != loss_reason::none) {
        kernel_.sleep_for(100ms);
        while (me_.who->paused) {
            kernel_.sleep_for(100ms);
        }
        watcher_.settled(*record);
    }
}

/// The Lockable face, and what current() says meanwhile.
void actor::lock_and_unlock() {
    auto face = client().mutex(dice_.permille(500) ? "m0" : "m1");
    const auto how = dice_.permille(500)   ? call_record::kind::patient
                     : dice_.permille(500) ? call_record::kind::at_once
                                           : call_record::kind::timed;
    const nanoseconds limit = dice_.between(nanoseconds(1ms), plan_.ttl);
    const auto call_made = watcher_.begins(how, face.name().bytes(), limit);
    kernel_.say("call ", call_made->number, " locks ", face.name().bytes());
    try {
        if (how == call_record::kind::patient) {
            face.lock();
        } else if (how == call_record::kind::at_once ? !face.try_lock() : !face.try_lock_for(limit)) {
            watcher_.fails(*call_made,
                           {how == call_record::kind::at_once ? errc::busy : errc::timed_out, "false"});
            return;
        }
    } catch (const std::system_error& failure) {
        watcher_.fails(*call_made,
                       {static_cast<errc>(failure.code().value()), failure.what(), 2 * plan_.ttl});
        return;
    }
    use_view(keep_view(*call_made, face.name().bytes(), face.current(), lock_capacity),
             [&] { face.unlock(); });
}

void act(world& in, world::member& as, dice chance) {
    actor(in, as, chance).live();
}

} // namespace holdfast::sim
