// The half of the watcher that talks to the server: its stream, and what comes on it.
#include "watcher.hpp"

#include <algorithm>
#include <utility>

#include "keys.hpp"

#include "core/boottime.hpp"

namespace holdfast::etcd {
namespace {

using std::chrono::nanoseconds;

} // namespace

void watcher::create(const line_ptr& one, work& todo) {
    one->at = step::closed;
    ++one->epoch;
    one->picture.restart();
    if (!stream_) {
        todo.open = true; // Every closed line is created when it opens.
        return;
    }
    one->at = step::creating;
    creating_.push_back(one);
    if (one->known_from > 0) {
        // We put this key there ourselves: whatever happens to it comes after that.
        stream_->queue(encode_watch(one->name, {}, one->known_from + 1));
    } else {
        const key_range range = range_of(one->name);
        stream_->queue(encode_watch(range.key, range.end, 0));
    }
    todo.flush = stream_;
}

void watcher::open_stream() {
    std::uint64_t number = 0;
    {
        const core::latch_guard locked(guard_);
        const bool needed = std::ranges::any_of(lines_, [](const auto& one) { return one.second->in_use(); });
        if (stopping_ || stream_ || opening_ || !needed) {
            return;
        }
        if (boottime() < stream_not_before_) {
            schedule(nullptr, stream_not_before_);
            return;
        }
        opening_ = true;
        number = ++stream_number_;
    }
    stream_events events;
    events.on_message = [this, number](std::string_view bytes) { on_message(number, bytes); };
    events.on_closed = [this, number](const outcome& why) { on_closed(number, why); };
    const std::shared_ptr<stream> made = calls_.open(method::watch, true, std::move(events));
    work todo;
    {
        const core::latch_guard locked(guard_);
        opening_ = false;
        if (stream_number_ != number || stopping_) {
            todo.cancel = made; // It has ended already, or is not needed any more.
            // The visit planned for the next attempt may have come and gone while this one was under way.
            schedule(nullptr, stream_not_before_);
        } else {
            stream_ = made;
            stream_revision_ = expected_revision_ = 0;
            silent_ = 0;
            for (const auto& [name, one] : lines_) {
                if (one->at == step::closed && one->in_use()) {
                    create(one, todo);
                }
            }
        }
    }
    perform(std::move(todo));
}

void watcher::on_closed(std::uint64_t stream_number, const outcome& why) {
    if (is_stale_token(why.code, why.message)) {
        calls_.drop_token();
    }
    const core::latch_guard locked(guard_);
    if (stream_number != stream_number_ || stopping_) {
        return;
    }
    ++stream_number_;
    stream_.reset();
    creating_.clear();
    by_id_.clear();
    stream_pause_ = longer(stream_pause_);
    stream_not_before_ = boottime() + stream_pause_;
    for (const auto& [name, one] : lines_) {
        one->at = step::closed;
        one->watch_id = -1;
        ++one->epoch;
        one->picture.restart();
    }
    schedule(nullptr, stream_not_before_);
}

void watcher::on_message(std::uint64_t stream_number, std::string_view bytes) {
    watch_reply reply;
    const bool understood = decode(bytes, reply);
    work todo;
    {
        const core::latch_guard locked(guard_);
        if (stream_number != stream_number_ || stopping_) {
            return;
        }
        stream_revision_ = std::max(stream_revision_, reply.head.revision);
        if (!understood) {
            todo.cancel = stream_; // on_closed opens another.
        } else if (reply.created) {
            on_created(reply, todo);
        } else if (const auto found = by_id_.find(reply.watch_id); found != by_id_.end()) {
            const line_ptr one = found->second;
            one->picture.apply(reply.events);
            if (concerns(*one, reply.events)) {
                todo.hinted = one->listeners;
            }
            if (reply.canceled || one->picture.backlog() > max_keys_read) {
                close_line(one, boottime() + longer(one->pause));
            } else {
                collect(*one, todo);
                settle(one);
            }
        }
    }
    perform(std::move(todo));
}

// Of a name with thousands of names below it, most events are not this name's.
bool watcher::concerns(const line& one, const std::vector<watch_event>& events) {
    return !one.listeners.empty() && std::ranges::any_of(events, [&](const watch_event& event) {
        return place_of(one.name, event.kv.key).has_value();
    });
}

void watcher::on_created(const watch_reply& reply, work& todo) {
    if (creating_.empty()) {
        todo.cancel = stream_; // Not an answer to anything we asked.
        return;
    }
    const line_ptr one = std::move(creating_.front());
    creating_.pop_front();
    if (reply.canceled) {
        close_line(one, boottime() + longer(one->pause));
        if (is_stale_token(rpc_code::ok, reply.cancel_reason)) {
            calls_.drop_token();
            todo.cancel = stream_; // The token is the stream's; the next one has a new one.
        }
        return;
    }
    stream_pause_ = nanoseconds::zero();
    one->watch_id = reply.watch_id;
    one->opened_revision = reply.head.revision;
    one->at = step::reading;
    one->read_failed = false;
    by_id_[reply.watch_id] = one;
    if (const std::int64_t known = std::exchange(one->known_from, 0); known > 0) {
        one->picture.load({{one->name, {}, known, known, 0}}, known);
        one->at = step::followed;
        collect(*one, todo);
        return;
    }
    todo.to_read.push_back(one);
}

void watcher::expect_progress(std::int64_t revision) {
    work todo;
    bool hangs = false;
    {
        const core::latch_guard locked(guard_);
        if (!stream_ || stopping_) {
            return;
        }
        silent_ = stream_revision_ >= expected_revision_ ? 0 : silent_ + 1;
        hangs = silent_ >= 2;
        if (hangs) {
            todo.cancel = stream_;
        } else {
            expected_revision_ = revision;
            stream_->queue(encode_watch_progress());
            todo.flush = stream_;
        }
    }
    if (hangs) {
        calls_.avoid_endpoint();
    }
    perform(std::move(todo));
}

void watcher::read(const line_ptr& one) {
    std::uint64_t epoch = 0;
    {
        const core::latch_guard locked(guard_);
        if (stopping_ || one->at != step::reading) {
            return;
        }
        epoch = one->epoch;
    }
    read_line(calls_, one->name, 0, boottime() + op_timeout_,
              [this, one, epoch](line_reading reading) { on_read(one, epoch, std::move(reading)); });
}

void watcher::on_read(const line_ptr& one, std::uint64_t epoch, line_reading reading) {
    work todo;
    {
        const core::latch_guard locked(guard_);
        if (stopping_ || one->epoch != epoch || one->at != step::reading) {
            return;
        }
        // A reading from before the watch would leave a gap between them.
        if (!reading.failure.ok() || reading.revision < one->opened_revision) {
            one->pause = longer(one->pause);
            one->read_failed = true;
            schedule(one, boottime() + one->pause);
            return;
        }
        one->picture.load(reading.keys, reading.revision);
        one->at = step::followed;
        one->pause = nanoseconds::zero();
        todo.hinted = one->listeners;
        collect(*one, todo);
        settle(one);
    }
    perform(std::move(todo));
}

void watcher::close_line(const line_ptr& one, instant again_at) {
    if (one->watch_id >= 0) {
        by_id_.erase(one->watch_id);
        one->watch_id = -1;
    }
    one->at = step::closed;
    ++one->epoch;
    one->picture.restart();
    one->pause = longer(one->pause);
    schedule(one, again_at);
}

} // namespace holdfast::etcd
