#include "engine.hpp"

#include "slots.hpp"
#include "words.hpp"

#include "core/boottime.hpp"

namespace holdfast::redis {

engine::engine(settings at)
    : where(std::move(at)), io(loop::start()),
      commands_(std::make_shared<connection>(*io, where, channel::commands)),
      messages_(std::make_shared<connection>(*io, where, channel::messages)),
      key_prefix_("__keyspace@" + std::to_string(where.database) + "__:") {
    messages_->listen({.on_message = [this](const reply& pushed) { on_message(pushed); },
                       .on_ready =
                           [this] {
                               asked_for_.clear();
                               for (const auto& entry : listeners_) {
                                   ask_for(entry.first);
                               }
                               for (const auto& entry : watched_keys_) {
                                   ask_for(key_prefix_ + entry.first);
                               }
                           },
                       .on_down = [this](const error& why) { on_messages_down(why); }});
    io->before_leaving([this] {
        commands_->flush();
        messages_->flush();
    });
}

engine::~engine() {
    // Nobody drives any more: every session is gone, and with them every request. The loop may outlive us by
    // what the background thread is just doing, if it is this thread.
    io->stop();
    io->before_leaving({});
    messages_->listen({});
    messages_->close();
    commands_->close();
}

result<std::vector<reply>> engine::query(std::vector<command> commands, instant give_up) {
    struct answers {
        std::vector<command> asked;
        std::vector<reply> got;
        std::optional<error> problem;
        parking_place done;
    };
    const auto shared = std::make_shared<answers>();
    shared->asked = std::move(commands);
    shared->got.reserve(shared->asked.size());
    io->submit([this, shared, give_up] {
        std::vector<std::string_view> words;
        for (const command& each : shared->asked) {
            words.assign(each.begin(), each.end());
            commands_->request(words, give_up, [this, shared](result<reply> outcome, instant) {
                if (outcome) {
                    shared->got.push_back(std::move(*outcome));
                } else if (!shared->problem) {
                    shared->problem = outcome.error();
                }
                if (shared->problem || shared->got.size() == shared->asked.size()) {
                    shared->done.notify();
                    io->wake(shared->done);
                }
            });
        }
    });
    // The connection keeps to give_up.
    const instant latest = loop::with_grace(give_up);
    while (!shared->done.notified() && boottime() < latest) {
        io->drive(shared->done, latest);
    }
    if (!shared->done.notified()) {
        return error(errc::unknown_outcome, "Redis at " + where.shown() + " did not answer in time");
    }
    if (shared->problem) {
        return *shared->problem;
    }
    return std::move(shared->got);
}

result<reply> engine::run(const script& code, const std::string& name,
                          const std::vector<std::string>& arguments, instant give_up) {
    command words{"EVALSHA", std::string(code.sha1), "2", name, line_key(name)};
    words.insert(words.end(), arguments.begin(), arguments.end());
    auto got = query({words}, give_up);
    if (got && got->front().is_error("NOSCRIPT")) {
        words[0] = "EVAL";
        words[1] = code.text;
        got = query({words}, give_up);
    }
    if (!got) {
        return got.error();
    }
    if (got->front().is_error()) {
        return error_of(got->front(), where);
    }
    return std::move(got->front());
}

void engine::subscribe(const std::string& channel, std::weak_ptr<listener> who) {
    listeners_[channel] = std::move(who);
    if (messages_->ready()) {
        ask_for(channel);
    } else {
        messages_->want();
    }
}

void engine::unsubscribe(const std::string& channel) {
    if (listeners_.erase(channel) > 0) {
        messages_->tell({"UNSUBSCRIBE", channel});
    }
}

void engine::ask_for(const std::string& channel) {
    messages_->tell({"SUBSCRIBE", channel});
    asked_for_.push_back(channel);
}

// Who watches a key waits, and so has the connection for messages.
void engine::watch_key(const std::string& key) {
    if (watched_keys_[key]++ == 0 && messages_->ready()) {
        ask_for(key_prefix_ + key);
    }
}

void engine::unwatch_key(const std::string& key) {
    const auto found = watched_keys_.find(key);
    if (found != watched_keys_.end() && --found->second == 0) {
        watched_keys_.erase(found);
        messages_->tell({"UNSUBSCRIBE", key_prefix_ + key});
    }
}

std::vector<std::shared_ptr<listener>> engine::everybody() const {
    std::vector<std::shared_ptr<listener>> alive;
    for (const auto& entry : listeners_) {
        if (auto each = entry.second.lock()) {
            alive.push_back(std::move(each));
        }
    }
    return alive;
}

void engine::on_message(const reply& pushed) {
    if (pushed.is_error()) {
        const bool of_a_key = !asked_for_.empty() && asked_for_.front().starts_with(key_prefix_);
        if (!asked_for_.empty()) {
            asked_for_.pop_front();
        }
        if (of_a_key) {
            tells_of_keys = false; // The user has no right to it: whoever waits looks from time to time.
            return;
        }
        // The reason holds for all.
        const error why = error_of(pushed, where);
        for (const auto& each : everybody()) {
            static_cast<void>(each->on_unsubscribed(why));
        }
        return;
    }
    if (pushed.type != reply::kind::array || pushed.items.size() < 3) {
        return;
    }
    const std::string& channel = pushed.items[1].text;
    if (pushed.items[0].text == "subscribe") {
        on_subscribed(channel);
    } else if (pushed.items[0].text == "message" && channel.starts_with(key_prefix_)) {
        const std::string_view event = pushed.items[2].str();
        if (event == "del" || event == "expired" || event == "evicted" || event == "rename_from") {
            for (const auto& each : everybody()) {
                each->on_key_gone(channel.substr(key_prefix_.size()));
            }
        }
    } else if (pushed.items[0].text == "message") {
        const auto found = listeners_.find(channel);
        if (const auto who = found == listeners_.end() ? nullptr : found->second.lock()) {
            who->on_message(pushed.items[2].str());
        }
    }
}

void engine::on_subscribed(const std::string& channel) {
    if (!asked_for_.empty() && asked_for_.front() == channel) {
        asked_for_.pop_front();
    }
    if (channel.starts_with(key_prefix_)) {
        for (const auto& each : everybody()) {
            each->on_key_gone(channel.substr(key_prefix_.size())); // It may have gone before.
        }
        return;
    }
    const auto found = listeners_.find(channel);
    if (const auto who = found == listeners_.end() ? nullptr : found->second.lock()) {
        who->on_subscribed();
    }
}

void engine::on_messages_down(const error& why) {
    const auto self = weak_from_this().lock(); // The last session may go while it hears of this.
    bool wanted = false;
    for (const auto& each : everybody()) {
        wanted = each->on_unsubscribed(why) || wanted;
    }
    if (wanted) {
        messages_->want();
    }
}

} // namespace holdfast::redis
