#include "record.hpp"

#include "key_pool.hpp"

namespace holdfast::etcd {
namespace {

void tell(notice& news) {
    claim_events& entry = *news.to;
    switch (news.what) {
    case notice::kind::waiting:
        entry.on_waiting();
        break;
    case notice::kind::granted:
        entry.on_granted(token(news.token));
        break;
    case notice::kind::refused:
        entry.on_refused(std::move(*news.failure));
        break;
    case notice::kind::lost:
        entry.on_lost(news.why);
        break;
    case notice::kind::removed:
        entry.on_removed(news.failure ? result<void>(std::move(*news.failure)) : result<void>());
        break;
    }
}

// After these the store keeps no reference to the claim. Also where a removal failed: a repeated remove()
// makes it known again, and without one nobody would ever drop it.
bool is_last(const notice& news) {
    return news.what == notice::kind::refused || news.what == notice::kind::lost ||
           news.what == notice::kind::removed;
}

} // namespace

record::~record() {
    if (const auto pool = key_goes_to.lock()) {
        pool->put_back(prefix, key, shape);
    }
}

void record::keep(std::shared_ptr<claim_events> entry) {
    const core::latch_guard locked(news_guard_);
    entry_ = std::move(entry);
}

void record::abandon() {
    std::shared_ptr<claim_events> last; // Both die outside of the lock.
    std::vector<notice> news;
    const core::latch_guard locked(news_guard_);
    news.swap(news_);
    last.swap(entry_);
}

void record::push(notice news) {
    const core::latch_guard locked(news_guard_);
    news.to = is_last(news) ? std::move(entry_) : entry_;
    if (is_last(news)) {
        entry_.reset();
    }
    if (news.to) {
        news_.push_back(std::move(news));
    }
}

void record::deliver(transport& wakes) {
    bool mine = false;
    for (;;) {
        std::optional<notice> next;
        {
            const core::latch_guard locked(news_guard_);
            if (delivering_ && !mine) {
                return; // Whoever delivers now takes ours too.
            }
            mine = delivering_ = !news_.empty();
            if (!mine) {
                return;
            }
            next = std::move(news_.front());
            news_.erase(news_.begin());
            if (news_.empty()) {
                news_.shrink_to_fit(); // A claim that waits or holds keeps nothing for news.
            }
        }
        tell(*next);
        wakes.wake(next->to->place);
    }
}

} // namespace holdfast::etcd
