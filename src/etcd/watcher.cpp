// The half of the watcher that faces the claims: who is followed, what they are told, and when to look again.
#include "watcher.hpp"

#include <algorithm>
#include <utility>

#include "core/boottime.hpp"
#include "core/quiet_thread.hpp"

namespace holdfast::etcd {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr nanoseconds linger = seconds(1);
constexpr nanoseconds grown_up_after = milliseconds(250);

loss_reason reason_of(verdict::kind what) {
    switch (what) {
    case verdict::kind::replaced:
        return loss_reason::replaced;
    case verdict::kind::broken:
        return loss_reason::broken;
    default:
        return loss_reason::revoked;
    }
}

} // namespace

void watcher::follow(const std::shared_ptr<record>& one, std::int64_t create_revision) {
    work todo;
    {
        const core::latch_guard locked(guard_);
        if (stopping_) {
            return;
        }
        add(line_of(one->prefix), one, create_revision, todo);
    }
    perform(std::move(todo));
}

void watcher::follow_later(const std::shared_ptr<record>& one) {
    const core::latch_guard locked(guard_);
    if (!stopping_) {
        let_grow(one);
    }
}

void watcher::let_grow(const std::shared_ptr<record>& one) {
    const instant at = boottime();
    if (young_.empty()) {
        young_visit_ = at + grown_up_after;
    }
    young_.emplace_back(at, one);
    if (young_.size() == 1) {
        wake_thread();
    }
}

// Holds that are old enough to be followed. Looked for at intervals, not one by one: most have ended by then.
watcher::records watcher::grown_up(instant at) {
    records out;
    if (young_.empty() || at < young_visit_) {
        return out;
    }
    while (!young_.empty() && young_.front().first + grown_up_after <= at) {
        if (std::shared_ptr<record> one = young_.front().second.lock()) {
            out.push_back(std::move(one));
        }
        young_.pop_front();
    }
    young_visit_ = at + grown_up_after;
    return out;
}

watcher::line_ptr watcher::line_of(const std::string& prefix) {
    if (const auto found = lines_.find(prefix); found != lines_.end()) {
        return found->second;
    }
    auto made = std::make_shared<line>(prefix);
    lines_.emplace(made->prefix(), made);
    return made;
}

void watcher::add(const line_ptr& where, const std::shared_ptr<record>& one, std::int64_t create_revision,
                  work& todo) {
    // What stands there is the text of the record before.
    where->picture.forget(one->key);
    where->records.erase(one->key);
    where->records.emplace(one->key, one);
    where->picture.expect(one->key, create_revision);
    if (where->at == step::followed) {
        collect(*where, todo);
        settle(where);
    } else if (where->at == step::closed && where->pause == nanoseconds::zero()) {
        create(where, todo);
    }
}

void watcher::forget(const record& one) {
    records dropped; // Die outside of the lock.
    const core::latch_guard locked(guard_);
    drop_key(one, dropped);
    const auto found = lines_.find(one.prefix);
    if (found == lines_.end()) {
        return;
    }
    line& where = *found->second;
    if (const auto entry = where.records.find(one.key); entry != where.records.end()) {
        dropped.push_back(std::move(entry->second));
        where.picture.forget(one.key);
        where.records.erase(entry);
        settle(found->second);
    }
}

void watcher::listen(const std::string& prefix, const std::shared_ptr<listener>& who) {
    work todo;
    {
        const core::latch_guard locked(guard_);
        if (stopping_) {
            return;
        }
        const line_ptr where = line_of(prefix);
        where->listeners.push_back(who);
        if (where->at == step::followed) {
            todo.hinted.push_back(who);
        } else if (where->at == step::closed && where->pause == nanoseconds::zero()) {
            create(where, todo);
        }
    }
    perform(std::move(todo));
}

void watcher::ignore(const std::string& prefix, const std::shared_ptr<listener>& who) {
    const core::latch_guard locked(guard_);
    if (const auto found = lines_.find(prefix); found != lines_.end()) {
        std::erase(found->second->listeners, who);
        settle(found->second);
    }
}

void watcher::stop() {
    std::map<std::string_view, line_ptr> lines;
    std::unordered_map<const record*, key_ptr> keys;
    std::deque<watched> creating;
    std::deque<wanted_reading> to_read;
    std::shared_ptr<stream> last;
    std::thread thread;
    {
        const core::latch_guard locked(guard_);
        stopping_ = true;
        young_.clear();
        lines.swap(lines_);
        keys.swap(keys_);
        creating.swap(creating_);
        to_read.swap(to_read_);
        by_id_.clear();
        due_.clear();
        last.swap(stream_);
        thread.swap(thread_);
    }
    place_.notify();
    if (thread.joinable()) {
        thread.join();
    }
    if (last) {
        last->cancel();
    }
}

// Hands what the picture says to the claims.
void watcher::collect(line& one, work& todo) {
    for (const verdict& news : one.picture.take()) {
        const auto found = one.records.find(news.key);
        if (found == one.records.end()) {
            continue;
        }
        const std::shared_ptr<record> claim = found->second;
        if (news.what != verdict::kind::granted) {
            one.records.erase(found);
        }
        if (tell(*claim, news.what)) {
            todo.told.push_back(claim);
        }
    }
}

/// False where that is no news to the claim, in the phase that it is in by now.
bool watcher::tell(record& claim, verdict::kind news) {
    using phase = record::phase;
    const core::latch_guard locked(claim.guard);
    if (news == verdict::kind::granted) {
        if (claim.now != phase::waiting) {
            return false;
        }
        claim.now = phase::granted;
        claim.push({notice::kind::granted, static_cast<std::uint64_t>(claim.create_revision)});
        return true;
    }
    if (claim.now != phase::waiting && claim.now != phase::granted) {
        return false;
    }
    claim.now = phase::ended;
    claim.push({notice::kind::lost, 0, reason_of(news)});
    return true;
}

// A line without claims is kept for a little: names are used again and again.
void watcher::settle(const line_ptr& one) {
    if (!one->in_use()) {
        one->last_used = boottime();
        if (!one->visit_planned) {
            one->visit_planned = true;
            schedule(one, one->last_used + linger);
        }
    }
}

void watcher::visit(const line_ptr& one, instant at, work& todo) {
    one->visit_planned = false;
    if (one->in_use()) {
        if (one->at == step::closed) {
            create(one, todo);
        } else if (one->at == step::reading && std::exchange(one->read_failed, false)) {
            want_reading(one, todo);
        }
        return;
    }
    // While the server still creates it, there is no number to cancel it by.
    if (at < one->last_used + linger || one->at == step::creating) {
        one->visit_planned = true;
        schedule(one, std::max(one->last_used, at) + linger);
        return;
    }
    if (one->watch_id >= 0) {
        by_id_.erase(one->watch_id);
        if (stream_) {
            stream_->queue(encode_watch_cancel(one->watch_id));
            todo.flush = stream_;
        }
    }
    ++one->epoch;
    one->at = step::closed;
    lines_.erase(one->prefix());
}

void watcher::schedule(const line_ptr& one, instant at) {
    if (stopping_) {
        return;
    }
    const bool earliest = due_.empty() || at < due_.begin()->first;
    due_.emplace(at, one);
    if (earliest) {
        wake_thread();
    }
}

void watcher::wake_thread() {
    if (!thread_.joinable()) {
        thread_ = core::start_quiet_thread([this] { run(); });
    } else {
        place_.notify();
    }
}

void watcher::run() {
    transport::mark_own_thread(); // A last reference dropped here must not join this thread.
    for (;;) {
        place_.reset();
        work todo;
        records older;
        instant next = instant::max();
        {
            const core::latch_guard locked(guard_);
            if (stopping_) {
                return;
            }
            const instant at = boottime();
            while (!due_.empty() && due_.begin()->first <= at) {
                const line_ptr one = due_.begin()->second.lock();
                due_.erase(due_.begin());
                if (!one) {
                    todo.open = true;
                } else if (const auto found = lines_.find(one->prefix());
                           found != lines_.end() && found->second == one) {
                    visit(one, at, todo);
                }
            }
            cancel_left(at, todo);
            older = grown_up(at);
            if (!due_.empty()) {
                next = due_.begin()->first;
            }
            if (!young_.empty()) {
                next = std::min(next, young_visit_);
            }
            if (!left_.empty()) {
                next = std::min(next, cancel_left_at_);
            }
        }
        perform(std::move(todo));
        for (const std::shared_ptr<record>& one : older) {
            follow_key(one);
        }
        place_.wait_until(next, clock_source::boottime);
    }
}

void watcher::perform(work todo) {
    for (const std::shared_ptr<record>& one : todo.told) {
        one->deliver(calls_);
    }
    for (const std::shared_ptr<listener>& one : todo.hinted) {
        one->changed();
    }
    if (todo.flush) {
        todo.flush->flush();
    }
    if (todo.cancel) {
        todo.cancel->cancel();
    }
    if (todo.read) {
        start_readings();
    }
    if (todo.open) {
        open_stream();
    }
}

nanoseconds watcher::longer(nanoseconds pause) {
    return pause == nanoseconds::zero() ? milliseconds(50) : std::min<nanoseconds>(2 * pause, seconds(1));
}

} // namespace holdfast::etcd
