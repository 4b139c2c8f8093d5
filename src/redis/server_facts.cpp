#include "server_facts.hpp"

#include <array>
#include <charconv>

namespace holdfast::redis {
namespace {

/// What decides about the level, and what it must be for the highest.
constexpr std::array<std::string_view, 3> keys{"appendonly", "appendfsync", "maxmemory-policy"};
constexpr std::array<std::string_view, 3> wanted{"yes", "always", "noeviction"};
constexpr std::string_view events_key = "notify-keyspace-events";

/// The value of "key:value" in an INFO reply.
std::string_view info_field(std::string_view info, std::string_view key) {
    for (std::size_t at = 0; at < info.size();) {
        const std::size_t end = std::min(info.find("\r\n", at), info.size());
        const std::string_view line = info.substr(at, end - at);
        if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ':') {
            return line.substr(key.size() + 1);
        }
        at = end + 2;
    }
    return {};
}

std::optional<std::int64_t> number(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    return problem == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

/// What keeps a server from giving the highest level.
class judge_of_level {
  public:
    explicit judge_of_level(std::optional<level> assumed) : assumed_(assumed) {}

    void expect(std::string_view what, const std::optional<std::string>& found, std::string_view good) {
        if (!found) {
            unread(what);
        } else if (*found != good) {
            note(std::string(what) + " is '" + *found + "', not '" + std::string(good) + "'",
                 level::efficiency);
        }
    }

    verdict_on_level result() { return std::move(found_); }

  private:
    void unread(std::string_view what) {
        if (!assumed_) {
            note(std::string(what) + " cannot be read; say assume=fenced in the URL if it is right",
                 level::efficiency);
        } else if (*assumed_ < level::fenced) {
            note(std::string(what) + " cannot be read and is assumed", *assumed_);
        }
    }

    void note(const std::string& what, level at_most) {
        found_.gives = std::min(found_.gives, at_most);
        found_.why += (found_.why.empty() ? "" : "; ") + what;
    }

    std::optional<level> assumed_;
    verdict_on_level found_;
};

} // namespace

std::vector<std::vector<std::string>> server_facts::questions() {
    std::vector<std::vector<std::string>> asked{{"TIME"}, {"INFO", "server"}, {"INFO", "replication"}};
    for (const std::string_view key : keys) {
        asked.push_back({"CONFIG", "GET", std::string(key)});
    }
    asked.push_back({"CONFIG", "GET", std::string(events_key)});
    return asked;
}

server_facts server_facts::from(std::span<const reply> replies) {
    server_facts facts;
    if (replies.size() != 4 + keys.size()) {
        return facts;
    }
    if (const auto& time = replies[0].items; time.size() == 2) {
        const auto seconds = number(time[0].text);
        const auto micros = number(time[1].text);
        if (seconds && micros && *seconds < INT64_MAX / 2'000'000 && *seconds >= 0) {
            facts.time_us = *seconds * 1'000'000 + *micros % 1'000'000;
        }
    }
    const std::string_view server = replies[1].str();
    const std::string_view replication = replies[2].str();
    facts.version = info_field(server, "redis_version");
    facts.mode = info_field(server, "redis_mode");
    facts.role = info_field(replication, "role");
    facts.master_host = info_field(replication, "master_host");
    if (const auto replicas = info_field(replication, "connected_slaves"); !replicas.empty()) {
        facts.replicas = std::string(replicas);
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (const auto& pair = replies[3 + i].items; pair.size() == 2) {
            facts.configured.emplace(keys[i], std::string(pair[1].str()));
        }
    }
    if (const auto& pair = replies.back().items; pair.size() == 2) {
        const std::string_view events = pair[1].str();
        const auto has = [&](char what) { return events.find(what) != std::string_view::npos; };
        facts.tells_of_keys = has('K') && (has('A') || has('g'));
    }
    return facts;
}

verdict_on_level judge(const server_facts& facts, std::optional<level> assumed) {
    judge_of_level found(assumed);
    found.expect("the number of replicas", facts.replicas, "0");
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const auto read = facts.configured.find(std::string(keys[i]));
        found.expect(keys[i], read == facts.configured.end() ? std::nullopt : std::optional(read->second),
                     wanted[i]);
    }
    return found.result();
}

} // namespace holdfast::redis
