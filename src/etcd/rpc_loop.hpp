// Who waits for the network: one thread at a time leads, takes what arrives from gRPC's completion queue and
// acts on it.
//
// A caller that waits leads itself if nobody does, and finds its own reply without a hop to another thread: a
// hop costs as much as the round trip on a fast network. The others who wait follow, and are woken by wake().
// A background thread leads while no caller does; while callers come and go it keeps out of their way, and
// looks every 2 ms whether they still do.
//
// Thread-safe. What is acted on runs under no lock, and may itself drive: then the lead stays where it is.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <holdfast/store.hpp>

namespace grpc {
class Alarm;
class CompletionQueue;
} // namespace grpc

namespace holdfast::etcd {

/// Something that gRPC was asked to do. What it is given to gRPC as: a pointer to this very base.
class ticket {
  public:
    virtual ~ticket() = default;
    /// It has ended. Called once for each time that it was given.
    virtual void ended(bool ok) = 0;
};

class call_loop {
  public:
    call_loop();
    /// Nothing may be under way any more, and nobody may drive. Not from inside.
    ~call_loop();
    call_loop(const call_loop&) = delete;
    call_loop& operator=(const call_loop&) = delete;

    grpc::CompletionQueue* queue() noexcept { return queue_.get(); }

    /// Leads or follows until the place is notified or the instant has passed; may return early.
    void drive(parking_place& place, instant until);
    /// Makes the thread that drives for this place, if there is one, look at it. Cheap.
    void wake(parking_place& place) noexcept;

    /// Somebody waits, and not here, for what is under way: the background thread leads at once.
    void hurry() noexcept;

    /// Something is under way for which nobody may be driving.
    void begins() noexcept;
    void ends() noexcept { under_way_.fetch_sub(1, std::memory_order_relaxed); }

  private:
    struct follower {
        parking_place& place; ///< What its caller waits for.
        parking_place sleep;  ///< Where it sleeps.
        bool promoted = false;
    };
    struct kick final : ticket {
        explicit kick(call_loop& of) : of(of) {}
        void ended(bool ok) override;
        call_loop& of;
    };

    void drive_from_inside(parking_place& place, instant until);
    void lead(parking_place* place, instant until);
    bool next(void** what, bool* ok, instant until);
    void pass_on();
    void kick_leader() noexcept; // Under guard_.
    void background();

    const std::unique_ptr<grpc::CompletionQueue> queue_;
    const std::unique_ptr<grpc::Alarm> alarm_;
    kick kick_{*this};
    std::atomic<std::int64_t> under_way_{0};
    std::atomic<bool> in_use_{false};

    std::mutex guard_; // Of all that follows, but for the thread. gRPC defines names of the annotations, too.
    bool led_ = false;
    bool kicked_ = false;
    bool stopping_ = false;
    bool deserted_ = false;   ///< The last leader left while something was under way.
    bool asleep_ = false;     ///< The background thread, until it is asked.
    std::uint64_t turns_ = 0; ///< How often somebody has led.
    parking_place* leading_for_ = nullptr;
    std::vector<follower*> followers_;

    parking_place asked_; ///< Where the background thread sleeps while callers lead.
    std::thread thread_;
};

} // namespace holdfast::etcd
