// The part of the watcher that follows single keys: holds of which nothing is asked but that they stand.
#include "watcher.hpp"

#include <utility>

#include "core/boottime.hpp"

namespace holdfast::etcd {
namespace {

// The watches of holds that were released are cancelled together: in between, each is told once more at most,
// that its key has gone.
constexpr auto cancel_after = std::chrono::seconds(1);

} // namespace

void watcher::follow_key(const std::shared_ptr<record>& one) {
    std::int64_t create_revision = 0;
    {
        const core::latch_guard locked(one->guard);
        if (one->now != record::phase::granted) {
            return;
        }
        create_revision = one->create_revision;
    }
    work todo;
    {
        const core::latch_guard locked(guard_);
        if (stopping_) {
            return;
        }
        // Where the whole line is followed anyway, the key is in it.
        if (const auto whole = lines_.find(one->prefix); whole != lines_.end()) {
            const line_ptr where = whole->second;
            add(where, one, create_revision, todo);
        } else {
            key_ptr& key = keys_[one.get()];
            if (!key) {
                key = std::make_shared<own_key>(one, create_revision);
            }
            create(key, todo);
        }
    }
    perform(std::move(todo));
    // It may have been removed since it was looked at, and forgotten before it was followed.
    bool over = false;
    {
        const core::latch_guard locked(one->guard);
        over = one->now != record::phase::granted;
    }
    if (over) {
        forget(*one);
    }
}

void watcher::create(const key_ptr& key, work& todo) {
    if (!stream_) {
        todo.open = true; // Every key is watched when it opens.
        return;
    }
    if (key->at != step::closed) {
        return;
    }
    key->at = step::creating;
    creating_.emplace_back(key);
    stream_->queue(encode_watch(key->claim->key, {}, key->start_revision()));
    todo.flush = stream_;
}

void watcher::on_key_created(const key_ptr& key, const watch_reply& reply, work& todo) {
    if (!key->claim) {
        if (!reply.canceled) {
            leave_watch(reply.watch_id);
        }
        return;
    }
    if (reply.canceled) {
        close_key(*key);
        return;
    }
    key->watch_id = reply.watch_id;
    by_id_[reply.watch_id] = key;
    if (key->has_begun()) {
        key->at = step::reading;
        want_reading(key_reading{key, reply.head.revision, reply.watch_id, stream_number_}, todo);
    } else {
        key->at = step::followed;
    }
}

void watcher::on_key_events(const key_ptr& key, const watch_reply& reply, work& todo) {
    if (const auto news = key->apply(reply.events)) {
        end_key(key, *news, todo);
    } else if (reply.canceled) {
        close_key(*key); // Its history has been compacted, or the server has had enough of it.
    }
}

void watcher::read_key(const key_reading& what, const std::string& key) {
    range_request request;
    request.key = key;
    request.keys_only = true;
    calls_.call(method::range, encode(request), boottime() + op_timeout_, repeat::freely,
                [this, what](const outcome& reply) { on_key_read(what, reply); });
}

void watcher::on_key_read(const key_reading& what, const outcome& reply) {
    range_reply reading;
    const bool understood = reply.ok() && decode(reply.body, reading);
    own_key& key = *what.key;
    work todo;
    {
        const core::latch_guard locked(guard_);
        --readings_;
        todo.read = !to_read_.empty();
        if (stopping_) {
            return;
        }
        const bool asked = what.stream_number == stream_number_ && what.watch_id == key.watch_id &&
                           key.at == step::reading && key.claim;
        if (asked && (!understood || reading.head.revision < what.not_before)) {
            close_key(key); // A reading from before the watch would leave a gap between them.
        } else if (asked) {
            key.at = step::followed;
            if (const auto news = key.judge(reading)) {
                end_key(what.key, *news, todo);
            }
        }
    }
    perform(std::move(todo));
}

// Its watch has failed; it gets another as a hold that has just begun would.
void watcher::close_key(own_key& key) {
    key.at = step::closed;
    if (const std::int64_t id = std::exchange(key.watch_id, -1); id >= 0) {
        by_id_.erase(id);
        leave_watch(id);
    }
    let_grow(key.claim);
}

void watcher::end_key(key_ptr key, verdict::kind news, work& todo) {
    std::shared_ptr<record> claim = std::exchange(key->claim, nullptr);
    keys_.erase(claim.get());
    if (key->watch_id >= 0) {
        by_id_.erase(key->watch_id);
        leave_watch(key->watch_id);
    }
    if (tell(*claim, news)) {
        todo.told.push_back(std::move(claim));
    }
}

void watcher::drop_key(const record& one, records& dropped) {
    const auto found = keys_.find(&one);
    if (found == keys_.end()) {
        return;
    }
    own_key& key = *found->second;
    dropped.push_back(std::exchange(key.claim, nullptr));
    if (key.watch_id >= 0) {
        by_id_.erase(key.watch_id);
        leave_watch(key.watch_id);
    }
    keys_.erase(found);
}

void watcher::leave_watch(std::int64_t watch_id) {
    if (stopping_) {
        return;
    }
    left_.push_back(watch_id);
    if (left_.size() == 1) {
        cancel_left_at_ = boottime() + cancel_after;
        wake_thread();
    }
}

void watcher::cancel_left(instant at, work& todo) {
    if (left_.empty() || at < cancel_left_at_) {
        return;
    }
    if (stream_) {
        for (const std::int64_t id : left_) {
            stream_->queue(encode_watch_cancel(id));
        }
        todo.flush = stream_;
    }
    left_.clear();
}

} // namespace holdfast::etcd
