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

    /// The synchronous path for this session and weight, or null. Remembered for the weight asked last.
    std::shared_ptr<fast_path> fast(const std::shared_ptr<session>& on, std::uint32_t weight);
    /// Exclusive access without further ado, or null. See grip.hpp.
    grip* acquire_quickly() noexcept { return turns_ ? nullptr : grip::acquire(lane_, false); }
    /// The same, and waits for it without limit where that needs no more than the store's own line.
    grip* acquire_in_line() noexcept { return turns_ ? nullptr : grip::acquire(lane_, true); }
    /// As acquire_quickly, for who has been let in by in_turns().
    grip* acquire_inside() noexcept { return grip::acquire(lane_, false); }

  private:
    void pave(const std::shared_ptr<session>& on) REQUIRES(guard_);

    const std::shared_ptr<class client> client_;
    const resource_name name_;
    const std::uint32_t capacity_;
    const std::shared_ptr<name_record> record_;
    const std::shared_ptr<turns> turns_;

    latch guard_;
    std::weak_ptr<session> fast_session_ GUARDED_BY(guard_);
    std::uint32_t fast_weight_ GUARDED_BY(guard_) = 0;
    std::shared_ptr<fast_path> fast_ GUARDED_BY(guard_);
    std::atomic<lane*> lane_{nullptr}; ///< Ours. Exchanged under the guard.
};

} // namespace holdfast::core
