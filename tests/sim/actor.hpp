// A simulated program: a random user of every face. Private to actor.cpp and programs.cpp.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "world.hpp"

namespace holdfast::sim {

using std::chrono::nanoseconds;

/// A hold in an actor's hand, with its record.
struct kept {
    std::shared_ptr<holdfast::held> handle;
    std::shared_ptr<hold_record> record;
    std::shared_ptr<std::stop_callback<std::function<void()>>> on_lost;
};

/// One way to ask for one name.
struct wish {
    std::string name;
    std::uint32_t weight = lock_capacity;
    std::uint32_t capacity = lock_capacity;
    call_record::kind how = call_record::kind::patient;
    nanoseconds limit{};
    std::optional<nanoseconds> cancel_after = {};
    bool async = false;
    bool coroutine = false;
};

class actor {
    /// One call that may be cancelled, and is when its process dies.
    struct stoppable {
        stoppable(actor& by, call_record::kind how, const char* name)
            : made(by.watcher_.begins(how, name, {})), on(by.kernel_),
              dying(by.me_.dying.get_token(), [call = made, stop = stop] {
                  call->stop_asked = true;
                  stop->request_stop();
              }) {}
        void cancel_in(nanoseconds delay) {
            on.at(on.time() + delay, [call = made, stop = stop] {
                call->stop_asked = true;
                stop->request_stop();
            });
        }

        std::shared_ptr<std::stop_source> stop = std::make_shared<std::stop_source>();
        std::shared_ptr<call_record> made;
        kernel& on;
        std::stop_callback<std::function<void()>> dying;
    };

  public:
    actor(world& in, world::member& as, dice chance)
        : kernel_(in.on()), watcher_(in.watcher()), plan_(in.scheme()), me_(as), dice_(chance) {}

    void live();

  private:
    bool over() const { return kernel_.time() >= plan_.heals || me_.who->crashed; }
    const locks& client() { return me_.clients[dice_.below(me_.clients.size())]; }
    void nap(nanoseconds most) { kernel_.sleep_for(dice_.between(nanoseconds(0), most)); }

    wish make_wish();
    std::optional<kept> acquire(const wish& what);
    result<held> call(const wish& what, const std::stop_token& stop);
    result<held> call_async(const wish& what, const std::stop_token& stop);
    void use(kept mine);
    void hold_for_a_while(const kept& mine);
    void let_go(kept mine);
    void settle(const std::shared_ptr<hold_record>& record);
    /// The record of a fresh hold, with which it is reported to the checker.
    kept keep(const call_record& call, const std::string& name, std::shared_ptr<held> handle,
              std::uint32_t weight = lock_capacity, std::uint32_t capacity = lock_capacity);
    template <typename View>
    std::shared_ptr<hold_record> keep_view(const call_record& call, const std::string& name, View view,
                                           std::uint32_t weight);
    /// Between lock() and unlock().
    template <typename Unlock>
    void use_view(const std::shared_ptr<hold_record>& record, const Unlock& unlock);
    void lock_and_unlock();
    void last_round();

    // programs.cpp
    void one_program();
    void lock_and_unlock_shared();
    void take_turns();
    void campaign();
    void follow_the_leader();
    void take_all();
    void work_while_held();
    void break_a_hold();
    void resize_a_line();

    kernel& kernel_;
    checker& watcher_;
    const plan& plan_;
    world::member& me_;
    dice dice_;
    static constexpr std::uint32_t permits_ = world::permits;
};

template <typename View>
std::shared_ptr<hold_record> actor::keep_view(const call_record& call, const std::string& name, View view,
                                              std::uint32_t weight) {
    const auto record = std::make_shared<hold_record>();
    record->where = me_.who;
    record->name = name;
    record->weight = weight;
    record->capacity = lock_capacity;
    record->exclusive = weight == lock_capacity;
    record->token = view.token().value();
    record->valid_for = [view] { return view.valid_for(); };
    record->reason = [view] { return view.reason(); };
    watcher_.granted(call, record);
    return record;
}

template <typename Unlock>
void actor::use_view(const std::shared_ptr<hold_record>& record, const Unlock& unlock) {
    hold_for_a_while({.handle = {}, .record = record, .on_lost = {}});
    watcher_.releasing(record);
    const instant began = kernel_.now();
    const nanoseconds paused = me_.who->paused_for;
    unlock();
    watcher_.released(*record, began, paused, std::nullopt);
}

} // namespace holdfast::sim
