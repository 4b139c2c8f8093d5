#include "redis_wire.hpp"

#include <algorithm>
#include <stdexcept>

#include <hiredis/hiredis.h>

namespace holdfast::bench {
namespace {

struct reply_freer {
    void operator()(redisReply* reply) const noexcept { ::freeReplyObject(reply); }
};
using reply_ptr = std::unique_ptr<redisReply, reply_freer>;

reply_ptr next_reply(redisContext* from) {
    void* raw = nullptr;
    if (::redisGetReply(from, &raw) != REDIS_OK) {
        throw std::runtime_error(std::string("Redis: ") + from->errstr);
    }
    reply_ptr reply(static_cast<redisReply*>(raw));
    if (reply->type == REDIS_REPLY_ERROR) {
        throw std::runtime_error("Redis: " + std::string(reply->str, reply->len));
    }
    return reply;
}

class redis_queue final : public turn_taker {
  public:
    redis_queue(int port, const std::string& name)
        : wire_(port), take_{{"BLPOP", name, "0"}}, give_{{"RPUSH", name, "1"}} {}
    void acquire() override { wire_.send(take_); }
    void release() override { wire_.send(give_); }

  private:
    redis_wire wire_;
    std::vector<command> take_;
    std::vector<command> give_;
};

class redis_bare final : public turn_taker {
  public:
    redis_bare(int port, const std::string& name)
        : wire_(port), take_{{"SET", name, value, "NX", "PX", "10000"}},
          give_{{"EVALSHA", wire_.text({"SCRIPT", "LOAD", compare_and_delete}), "1", name, value}} {}
    void acquire() override { wire_.send(take_); }
    void release() override {
        if (wire_.send(give_) != 1) {
            throw std::runtime_error("a bare lock was not held");
        }
    }

  private:
    static constexpr const char* value = "0123456789abcdef0123456789abcdef.1";
    redis_wire wire_;
    std::vector<command> take_;
    std::vector<command> give_;
};

/// One quoted word of MONITOR, from behind its opening quote; moves `at` behind the closing one.
std::string unquoted(const std::string& line, std::size_t& at) {
    std::string word;
    for (; at < line.size() && line[at] != '"'; ++at) {
        if (line[at] != '\\' || at + 1 >= line.size()) {
            word += line[at];
            continue;
        }
        const char code = line[++at];
        if (code == 'x' && at + 2 < line.size()) {
            word += static_cast<char>(std::stoi(line.substr(at + 1, 2), nullptr, 16));
            at += 2;
        } else {
            const std::string from = "nrtab";
            const std::string to = "\n\r\t\a\b";
            const auto which = from.find(code);
            word += which == std::string::npos ? code : to[which];
        }
    }
    ++at;
    return word;
}

/// All that comes until the marker; only commands that name the lock are part of a cycle, and what stands
/// with them.
std::vector<command> until_marker(redis_wire& monitor, const std::string& marker) {
    std::vector<command> seen;
    for (;;) {
        command words = words_of(monitor.next_line());
        if (words.size() == 2 && words[1] == marker) {
            return seen;
        }
        if (!words.empty()) {
            seen.push_back(std::move(words));
        }
    }
}

} // namespace

void redis_wire::closer::operator()(redisContext* context) const noexcept {
    ::redisFree(context);
}

redis_wire::redis_wire(int port) {
    context_.reset(::redisConnect("127.0.0.1", port));
    if (!context_ || context_->err != 0) {
        throw std::runtime_error("Redis on port " + std::to_string(port) + ": " +
                                 (context_ ? context_->errstr : "no memory"));
    }
    ::redisSetTimeout(context_.get(), timeval{30, 0});
}

void redis_wire::append(const command& what) {
    std::vector<const char*> words;
    std::vector<std::size_t> lengths;
    words.reserve(what.size());
    lengths.reserve(what.size());
    for (const std::string& word : what) {
        words.push_back(word.data());
        lengths.push_back(word.size());
    }
    ::redisAppendCommandArgv(context_.get(), static_cast<int>(words.size()), words.data(), lengths.data());
}

long long redis_wire::send(const std::vector<command>& commands) {
    for (const command& each : commands) {
        append(each);
    }
    long long first = 0;
    for (std::size_t index = 0; index < commands.size(); ++index) {
        const reply_ptr reply = next_reply(context_.get());
        first = index == 0 ? reply->integer : first;
    }
    return first;
}

std::string redis_wire::text(const command& what) {
    append(what);
    const reply_ptr reply = next_reply(context_.get());
    return reply->str == nullptr ? std::string() : std::string(reply->str, reply->len);
}

std::string redis_wire::next_line() {
    const reply_ptr reply = next_reply(context_.get());
    return reply->str == nullptr ? std::string() : std::string(reply->str, reply->len);
}

command words_of(const std::string& monitor_line) {
    const auto open = monitor_line.find('[');
    const auto close = monitor_line.find(']', open);
    if (open == std::string::npos || close == std::string::npos ||
        monitor_line.compare(close - 3, 3, "lua") == 0) {
        return {};
    }
    command words;
    for (std::size_t at = monitor_line.find('"', close); at != std::string::npos;
         at = monitor_line.find('"', at)) {
        ++at;
        words.push_back(unquoted(monitor_line, at));
    }
    return words;
}

captured_cycle capture(int port, const std::string& name, turn_taker& ours) {
    ours.acquire();
    ours.release(); // The server knows the scripts and the session from here on.
    redis_wire marks(port);
    redis_wire monitor(port);
    static_cast<void>(monitor.text({"MONITOR"}));
    captured_cycle cycle;
    ours.acquire();
    static_cast<void>(marks.text({"ECHO", name + "-acquired"}));
    ours.release();
    static_cast<void>(marks.text({"ECHO", name + "-released"}));
    cycle.acquire = until_marker(monitor, name + "-acquired");
    cycle.release = until_marker(monitor, name + "-released");
    return cycle;
}

std::unique_ptr<turn_taker> make_redis_queue(int port, const std::string& name) {
    return std::make_unique<redis_queue>(port, name);
}

std::unique_ptr<turn_taker> make_redis_bare(int port, const std::string& name) {
    return std::make_unique<redis_bare>(port, name);
}

} // namespace holdfast::bench
