#include "line_hints.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace holdfast::etcd {
namespace {

// Calls never overlap: hints that come during one are one more call after it.
class hint final : public listener {
  public:
    explicit hint(std::function<void()> call) : call_(std::move(call)) {}

    void changed() noexcept override {
        std::unique_lock lock(mutex_);
        again_ = true;
        if (caller_ != std::thread::id()) {
            return;
        }
        caller_ = std::this_thread::get_id();
        while (again_ && !over_) {
            again_ = false;
            lock.unlock();
            call_();
            lock.lock();
        }
        caller_ = {};
        idle_.notify_all();
    }

    void end() {
        std::unique_lock lock(mutex_);
        over_ = true;
        idle_.wait(lock,
                   [this] { return caller_ == std::thread::id() || caller_ == std::this_thread::get_id(); });
    }

  private:
    const std::function<void()> call_;
    std::mutex mutex_;
    std::condition_variable idle_;
    std::thread::id caller_;
    bool again_ = false;
    bool over_ = false;
};

} // namespace

std::shared_ptr<void> hint_on_change(const std::shared_ptr<engine>& with, const std::string& prefix,
                                     std::function<void()> changed) {
    auto one = std::make_shared<hint>(std::move(changed));
    with->waiting.listen(prefix, one);
    return {one.get(), [with, prefix, one](void*) {
                with->waiting.ignore(prefix, one);
                one->end();
            }};
}

} // namespace holdfast::etcd
