// The session's channel: who waits is told there that it holds.
#include "claim_record.hpp"

#include <charconv>
#include <map>
#include <utility>

namespace holdfast::redis {

void session::subscribe() {
    if (!std::exchange(subscribing_, true)) {
        engine_->subscribe(channel_, weak_from_this());
    }
}

void session::subscribe_for(const record_ptr& of) {
    set_phase(*of, phase::subscribing);
    subscribe();
    const unsigned this_append = of->appends;
    engine_->io->call_at(
        time_limit(), [weak = weak_from_this(), weak_of = std::weak_ptr<record>(of), this_append] {
            const auto self = weak.lock();
            const auto late = weak_of.lock();
            if (self && late && late->at == phase::subscribing && late->appends == this_append) {
                self->refuse(late, {errc::unavailable, "Redis at " + self->engine_->where.shown() +
                                                           " did not confirm a subscription in time"});
            }
        });
}

void session::on_subscribed() {
    subscribed_ = true;
    subscribing_ = false;
    // Events may change the records. In the order in which they came: first come, first served.
    const std::map<std::uint64_t, record_ptr> records(records_.begin(), records_.end());
    for (const auto& [number, of] : records) {
        if (of->at == phase::subscribing) {
            send_append(of);
        } else {
            look(of); // A message may have been missed.
        }
    }
}

bool session::on_unsubscribed(const error& why) {
    subscribed_ = false;
    subscribing_ = false;
    bool waits = false;
    const auto records = records_;
    for (const auto& [number, of] : records) {
        if (of->at == phase::subscribing) {
            refuse(of, why);
        }
        waits = waits || of->at == phase::waiting;
    }
    return waits;
}

// Foreign holders tell nobody when they leave, but the server may.
void session::watch_gate(const record_ptr& of) {
    if (!of->watches_gate && engine_->tells_of_keys) {
        of->watches_gate = true;
        behind_foreigners_[of->gate].push_back(of);
        engine_->watch_key(of->gate);
    }
}

void session::unwatch_gate(record& of) {
    of.watches_gate = false;
    const auto found = behind_foreigners_.find(of.gate);
    std::erase_if(found->second, [&](const record_ptr& each) { return each.get() == &of; });
    if (found->second.empty()) {
        behind_foreigners_.erase(found);
    }
    engine_->unwatch_key(of.gate);
}

void session::on_key_gone(const std::string& key) {
    const auto found = behind_foreigners_.find(key);
    if (found == behind_foreigners_.end()) {
        return;
    }
    for (const record_ptr& of : std::vector(found->second)) {
        of->look = first_look;
        look(of);
    }
}

void session::on_message(std::string_view text) {
    const std::size_t space = text.find(' ');
    claim_id id;
    std::uint64_t granted = 0;
    if (space == std::string_view::npos || !parse_claim_id(text.substr(0, space), id)) {
        return;
    }
    const char* end = text.data() + text.size();
    if (const auto read = std::from_chars(text.data() + space + 1, end, granted);
        read.ec != std::errc() || read.ptr != end || granted > INT64_MAX) {
        return;
    }
    const auto found = records_.find(id.number);
    if (found == records_.end()) {
        return;
    }
    const record_ptr of = found->second;
    if (of->id != text.substr(0, space)) {
        return;
    }
    if (granted == 0 && of->at == phase::holding) {
        poll(of); // Broken, it says: the renewal finds out whether that is true of this hold.
        return;
    }
    if (of->at != phase::waiting && of->at != phase::appending) {
        return;
    }
    if (granted == 0 || of->appends > 1) {
        // A message may be late by any time. To the first append of an id it is proof, because nothing else
        // can have been granted under that id; after a repeated one it may speak of a place that is long
        // gone.
        look(of);
        return;
    }
    grant(of, granted);
}

} // namespace holdfast::redis
