// The half of the watcher that talks to the server: its stream, and what comes on it.
#include "watcher.hpp"

#include <algorithm>
#include <utility>

#include "keys.hpp"

#include "core/boottime.hpp"

namespace holdfast::etcd {
namespace {

using std::chrono::nanoseconds;

// Ten thousand lines may be opened at once, and a call that is under way takes 12 KB of memory.
constexpr std::size_t readings_at_once = 32;

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
    const key_range range = range_of(one->prefix());
    stream_->queue(encode_watch(range.key, range.end, 0));
    todo.flush = stream_;
}

void watcher::open_stream() {
    std::uint64_t number = 0;
    {
        const core::latch_guard locked(guard_);
        const bool needed = !keys_.empty() ||
                            std::ranges::any_of(lines_, [](const auto& one) { return one.second->in_use(); });
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
            for (const auto& [claim, key] : keys_) {
                create(key, todo);
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
    left_.clear();
    stream_pause_ = longer(stream_pause_);
    stream_not_before_ = boottime() + stream_pause_;
    for (const auto& [name, one] : lines_) {
        one->at = step::closed;
        one->watch_id = -1;
        ++one->epoch;
        one->picture.restart();
    }
    for (const auto& [claim, key] : keys_) {
        key->at = step::closed;
        key->watch_id = -1;
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
            const watched what = found->second;
            if (const auto* key = std::get_if<key_ptr>(&what)) {
                on_key_events(*key, reply, todo);
            } else {
                on_line_events(std::get<line_ptr>(what), reply, todo);
            }
        }
    }
    perform(std::move(todo));
}

void watcher::on_line_events(const line_ptr& one, const watch_reply& reply, work& todo) {
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

// Of a name with thousands of names below it, most events are not this name's.
bool watcher::concerns(const line& one, const std::vector<watch_event>& events) {
    return !one.listeners.empty() && std::ranges::any_of(events, [&](const watch_event& event) {
        return place_of(one.prefix(), event.kv.key).has_value();
    });
}

void watcher::on_created(const watch_reply& reply, work& todo) {
    if (creating_.empty()) {
        todo.cancel = stream_; // Not an answer to anything we asked.
        return;
    }
    const watched what = std::move(creating_.front());
    creating_.pop_front();
    if (reply.canceled && is_stale_token(rpc_code::ok, reply.cancel_reason)) {
        calls_.drop_token();
        todo.cancel = stream_; // The token is the stream's; the next one has a new one.
    }
    if (!reply.canceled) {
        stream_pause_ = nanoseconds::zero();
    }
    if (const auto* key = std::get_if<key_ptr>(&what)) {
        on_key_created(*key, reply, todo);
    } else {
        on_line_created(std::get<line_ptr>(what), reply, todo);
    }
}

void watcher::on_line_created(const line_ptr& one, const watch_reply& reply, work& todo) {
    if (reply.canceled) {
        close_line(one, boottime() + longer(one->pause));
        return;
    }
    one->watch_id = reply.watch_id;
    one->opened_revision = reply.head.revision;
    one->at = step::reading;
    one->read_failed = false;
    by_id_[reply.watch_id] = one;
    want_reading(one, todo);
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

void watcher::want_reading(wanted_reading what, work& todo) {
    to_read_.push_back(std::move(what));
    todo.read = true;
}

void watcher::start_readings() {
    for (;;) {
        wanted_reading what;
        std::uint64_t epoch = 0;
        std::string key;
        {
            const core::latch_guard locked(guard_);
            if (stopping_ || to_read_.empty() || readings_ >= readings_at_once) {
                return;
            }
            what = std::move(to_read_.front());
            to_read_.pop_front();
            if (const auto* one = std::get_if<line_ptr>(&what)) {
                if ((*one)->at != step::reading) {
                    continue;
                }
                epoch = (*one)->epoch;
            } else if (const auto& claim = std::get<key_reading>(what).key->claim) {
                key = claim->key;
            } else {
                continue;
            }
            ++readings_;
        }
        if (const auto* one = std::get_if<line_ptr>(&what)) {
            read(*one, epoch);
        } else {
            read_key(std::get<key_reading>(what), key);
        }
    }
}

void watcher::read(const line_ptr& one, std::uint64_t epoch) {
    read_line(calls_, one->prefix(), 0, boottime() + op_timeout_,
              [this, one, epoch](line_reading reading) { on_read(one, epoch, std::move(reading)); });
}

void watcher::on_read(const line_ptr& one, std::uint64_t epoch, line_reading reading) {
    work todo;
    {
        const core::latch_guard locked(guard_);
        --readings_;
        todo.read = !to_read_.empty();
        if (stopping_) {
            return;
        }
        if (one->epoch != epoch || one->at != step::reading) {
            // Another watch of it has begun meanwhile, with a reading of its own.
        } else if (!reading.failure.ok() || reading.revision < one->opened_revision) {
            // A reading from before the watch would leave a gap between them.
            one->pause = longer(one->pause);
            one->read_failed = true;
            schedule(one, boottime() + one->pause);
        } else {
            one->picture.load(reading.keys, reading.revision);
            one->at = step::followed;
            one->pause = nanoseconds::zero();
            todo.hinted = one->listeners;
            collect(*one, todo);
            settle(one);
        }
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
