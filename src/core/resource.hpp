// One face's name on one client: what a mutex, shared_mutex, semaphore or election has behind it.
//
// Shared by the copies of a face. Thread-safe.
#pragma once

#include <memory>

#include "annotations.hpp"
#include "client.hpp"
#include "grip.hpp"

namespace holdfast::core {

class turns;

class resource {
  public:
    resource(std::shared_ptr<class client> client, resource_name name, std::uint32_t capacity,
             std::shared_ptr<turns> in_turns = nullptr)
        : client_(std::move(client)), name_(std::move(name)), capacity_(capacity),
          record_(client_->record_of(name_)), turns_(std::move(in_turns)) {}
    ~resource();
    resource(const resource&) = delete;
    resource& operator=(const resource&) = delete;

    class client& client() noexcept {
        return *client_;
    }
    const resource_name& name() const noexcept { return name_; }
    std::uint32_t capacity() const noexcept { return capacity_; }
    name_record& record() noexcept { return *record_; }
    /// How its threads hand it to one another; null unless the caller chose that.
    turns* in_turns() const noexcept { return turns_.get(); }
    /// For messages: 'name' on url.
    std::string shown() const;

    /// The synchronous path for this session, or null, which it is but for exclusive access. Remembered, and
    /// from the second time on there is a lane, for shared access and permits too.
    std::shared_ptr<fast_path> fast(const std::shared_ptr<session>& on, std::uint32_t weight);
    /// Exclusive access without further ado, or null. See grip.hpp.
    grip* acquire_quickly() noexcept { return turns_ ? nullptr : acquire_inside(); }
    /// The same, and waits for it without limit where that needs no more than the store's own line.
    grip* acquire_in_line() noexcept {
        return turns_ ? nullptr : grip::acquire(exclusive_.by, lock_capacity, true);
    }
    /// As acquire_quickly, for who has been let in by in_turns().
    grip* acquire_inside() noexcept { return grip::acquire(exclusive_.by, lock_capacity, false); }
    /// The same for shared access or so many permits.
    grip* share_quickly(std::uint32_t weight) noexcept { return grip::acquire(shared_.by, weight, false); }

  private:
    /// A synchronous path that was asked for, and from the second time on its lane.
    struct way {
        std::weak_ptr<session> on;
        std::uint32_t weight = 0;
        std::shared_ptr<fast_path> path;
        std::atomic<lane*> by{nullptr}; ///< Ours. The rest is under the guard, and so is its exchange.
    };
    void pave(way& which, const std::shared_ptr<session>& on) REQUIRES(guard_);

    const std::shared_ptr<class client> client_;
    const resource_name name_;
    const std::uint32_t capacity_;
    const std::shared_ptr<name_record> record_;
    const std::shared_ptr<turns> turns_;

    latch guard_;
    way exclusive_;
    way shared_; ///< Of the weight asked last.
};

} // namespace holdfast::core
