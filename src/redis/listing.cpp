// What stands in Redis, for people. It looks through all keys, a page at a time, within the caller's time: a
// gate without a line is known only by its value. Foreign locks cannot be told from other data; they show
// where somebody of ours stands behind them.
#include "store.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "slots.hpp"
#include "who.hpp"
#include "words.hpp"

#include "core/boottime.hpp"

namespace holdfast::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr std::size_t line_page = 10'000;
constexpr std::string_view gate_mark = "holdfast ";

std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        words.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

template <typename Number>
Number number(std::string_view text) {
    Number value{};
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

/// A server's time, or a span, that is nonsense must not run over when it is reckoned with in nanoseconds.
long long sane_ms(long long value) {
    return std::clamp<long long>(value, 0, INT64_MAX / 2'000'000);
}

class lister {
  public:
    lister(engine& on, instant give_up) : on_(on), give_up_(give_up) {}

    result<std::vector<resource_status>> run();
    result<resource_status> show(const std::string& name);

  private:
    result<std::vector<reply>> query(std::vector<engine::command> commands);
    result<std::set<std::string>> find_names();
    result<resource_status> read_line(const std::string& name);
    result<void> read_notes(std::vector<resource_status>& found);
    result<void> read_proposals(std::vector<resource_status>& found);

    claim_status status(std::string_view id, bool holds, std::uint32_t weight, std::uint64_t token,
                        long long ends_ms, long long now_ms) const;
    void add_gate(resource_status& to, const reply& value, const reply& left, const reply& type,
                  long long now_ms) const;

    engine& on_;
    const instant give_up_;
};

result<std::vector<reply>> lister::query(std::vector<engine::command> commands) {
    auto replies = on_.query(std::move(commands), give_up_);
    if (!replies && replies.error().code() == errc::unknown_outcome) {
        return error(errc::unavailable,
                     "Redis at " + on_.where.shown() + " could not be looked through in time");
    }
    return replies;
}

result<std::set<std::string>> lister::find_names() {
    std::set<std::string> names;
    std::string cursor = "0";
    do {
        if (boottime() >= give_up_) {
            return error(errc::unavailable, "Redis at " + on_.where.shown() +
                                                " holds too many keys to be looked through in this time");
        }
        const auto page = query({{"SCAN", cursor, "COUNT", "1000"}});
        if (!page) {
            return page.error();
        }
        const reply& got = page->front();
        if (got.is_error()) {
            return error_of(got, on_.where);
        }
        if (got.items.size() != 2) {
            return error(errc::unavailable, "Redis at " + on_.where.shown() + " gave no answer to SCAN");
        }
        cursor = got.items[0].text;
        std::vector<std::string> candidates;
        std::vector<engine::command> looks;
        for (const reply& key : got.items[1].items) {
            if (const auto parts = parse_line_key(key.text)) {
                // The other letters are of single claims.
                if (std::string_view("ldes").find(parts->part) != std::string_view::npos) {
                    names.emplace(parts->name);
                }
            } else if (!key.text.starts_with(own_prefix) && key.text.size() <= resource_name::max_bytes) {
                // Values may be large: only as much of them as tells ours.
                looks.push_back({"GETRANGE", key.text, "0", std::to_string(gate_mark.size() - 1)});
                candidates.push_back(key.text);
            }
        }
        if (looks.empty()) {
            continue;
        }
        const auto values = query(std::move(looks));
        if (!values) {
            return values.error();
        }
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            if ((*values)[i].str() == gate_mark) {
                names.insert(candidates[i]);
            }
        }
    } while (cursor != "0");
    return names;
}

claim_status lister::status(std::string_view id, bool holds, std::uint32_t weight, std::uint64_t token,
                            long long ends_ms, long long now_ms) const {
    claim_status made{.id = std::string(id),
                      .holds = holds,
                      .weight = weight,
                      .token = token,
                      .foreign = false,
                      .stale = sane_ms(ends_ms) <= now_ms,
                      .who = std::nullopt,
                      .since = std::nullopt,
                      .ttl_left =
                          std::max<nanoseconds>(milliseconds(sane_ms(ends_ms) - now_ms), nanoseconds(0))};
    if (token != 0) {
        // Unless the server's clock went back, a token is the time of its grant.
        made.since = std::chrono::system_clock::time_point(
            std::chrono::microseconds(std::min<std::uint64_t>(token, INT64_MAX / 1000)));
    }
    return made;
}

void lister::add_gate(resource_status& to, const reply& value, const reply& left, const reply& type,
                      long long now_ms) const {
    if (value.type == reply::kind::nil || (!value.is_error() && value.text.empty() && left.integer == -2)) {
        return;
    }
    const auto words = split(value.str());
    if (words.size() == 5 && words[0] == "holdfast" && words[1] != "shared") {
        to.capacity = number<std::uint32_t>(words[4]);
        to.claims.push_back(status(words[1], true, to.capacity, number<std::uint64_t>(words[2]),
                                   number<long long>(words[3]), now_ms));
        return;
    }
    if (words.size() == 5 && words[0] == "holdfast") {
        to.capacity = number<std::uint32_t>(words[4]);
        return; // The holders stand in keys of their own.
    }
    claim_status foreign;
    // A foreign value may be the other client's proof of ownership; a part of it is enough for people.
    foreign.id = value.is_error() ? "a " + std::string(type.str()) +
                                        (type.str() == "hash" ? ", as Redisson's locks are" : "")
                                  : std::string(value.str().substr(0, 12));
    foreign.holds = true;
    foreign.weight = lock_capacity;
    foreign.foreign = true;
    if (left.integer >= 0) {
        foreign.ttl_left = milliseconds(sane_ms(left.integer));
    }
    to.claims.push_back(std::move(foreign));
}

result<resource_status> lister::read_line(const std::string& name) {
    const std::string line = line_key(name);
    const std::string stem = line.substr(0, line.size() - 1);
    const auto replies = query({{"TIME"},
                                {"GETRANGE", name, "0", "255"},
                                {"PTTL", name},
                                {"ZRANGE", stem + "e", "0", std::to_string(line_page - 1), "WITHSCORES"},
                                {"HGETALL", stem + "s"},
                                {"LRANGE", line, "0", std::to_string(line_page - 1)},
                                {"HGETALL", stem + "d"},
                                {"TYPE", name}});
    if (!replies) {
        return replies.error();
    }
    if (const reply& gate = (*replies)[1]; gate.is_error() && !gate.is_error("WRONGTYPE")) {
        return error_of(gate, on_.where);
    }
    resource_status found{.name = name, .capacity = lock_capacity, .claims = {}};
    const auto& time = (*replies)[0].items;
    // Its seconds and microseconds.
    const long long now_ms = time.size() == 2 ? sane_ms(sane_ms(number<long long>(time[0].text)) * 1000 +
                                                        sane_ms(number<long long>(time[1].text)) / 1000)
                                              : 0;
    add_gate(found, (*replies)[1], (*replies)[2], (*replies)[7], now_ms);
    const auto pairs = [](const reply& flat) {
        std::map<std::string_view, std::string_view> made;
        for (std::size_t i = 0; i + 1 < flat.items.size(); i += 2) {
            made.emplace(flat.items[i].text, flat.items[i + 1].text);
        }
        return made;
    };
    if (split((*replies)[1].str()).size() == 5 && (*replies)[1].str().starts_with("holdfast shared ")) {
        const auto ends = pairs((*replies)[3]);
        for (const auto& [id, weight_and_token] : pairs((*replies)[4])) {
            const auto words = split(weight_and_token);
            const auto end = ends.find(id);
            if (words.size() == 2 && end != ends.end()) {
                found.claims.push_back(status(id, true, number<std::uint32_t>(words[0]),
                                              number<std::uint64_t>(words[1]), number<long long>(end->second),
                                              now_ms));
            }
        }
        std::sort(found.claims.begin(), found.claims.end(),
                  [](const claim_status& a, const claim_status& b) { return a.token < b.token; });
    }
    const auto due = pairs((*replies)[6]);
    for (const reply& entry : (*replies)[5].items) {
        const auto words = split(entry.text);
        if (words.size() != 3) {
            continue;
        }
        if (found.claims.empty() || found.claims.front().foreign) {
            found.capacity = number<std::uint32_t>(words[2]);
        }
        const auto end = due.find(words[0]);
        found.claims.push_back(status(words[0], false, number<std::uint32_t>(words[1]), 0,
                                      end == due.end() ? 0 : number<long long>(end->second), now_ms));
    }
    return found;
}

result<void> lister::read_notes(std::vector<resource_status>& found) {
    std::map<std::string, std::optional<holder_info>> notes;
    const auto session_of = [](const claim_status& claim) { return claim.id.substr(0, 32); };
    for (const auto& each : found) {
        for (const auto& claim : each.claims) {
            if (!claim.foreign) {
                notes.emplace(session_of(claim), std::nullopt);
            }
        }
    }
    if (notes.empty()) {
        return {};
    }
    std::vector<engine::command> asks;
    for (const auto& entry : notes) {
        asks.push_back({"GETRANGE", note_key(entry.first), "0", "4095"});
    }
    const auto replies = query(std::move(asks));
    if (!replies) {
        return replies.error();
    }
    std::size_t next = 0;
    for (auto& entry : notes) {
        entry.second = read_note((*replies)[next++].str());
    }
    for (auto& each : found) {
        for (auto& claim : each.claims) {
            if (!claim.foreign) {
                claim.who = notes[session_of(claim)];
            }
        }
    }
    return {};
}

// Of the holders, and of those who come next.
result<void> lister::read_proposals(std::vector<resource_status>& found) {
    constexpr std::size_t most = 100;
    std::vector<engine::command> asks;
    std::vector<std::vector<claim_status*>> whose;
    for (auto& each : found) {
        const std::string line = line_key(each.name);
        engine::command ask{"MGET"};
        std::vector<claim_status*> ours;
        for (auto& claim : each.claims) {
            if (!claim.foreign && ours.size() < most) {
                ask.push_back(line.substr(0, line.size() - 1) + claim.id + ":p");
                ours.push_back(&claim);
            }
        }
        if (!ours.empty()) {
            asks.push_back(std::move(ask));
            whose.push_back(std::move(ours));
        }
    }
    if (asks.empty()) {
        return {};
    }
    const auto replies = query(std::move(asks));
    if (!replies) {
        return replies.error();
    }
    for (std::size_t i = 0; i < whose.size(); ++i) {
        const auto& got = (*replies)[i].items;
        for (std::size_t k = 0; k < whose[i].size() && k < got.size(); ++k) {
            if (got[k].type == reply::kind::string) {
                whose[i][k]->proposal = got[k].text.substr(0, max_proposal);
            }
        }
    }
    return {};
}

result<resource_status> lister::show(const std::string& name) {
    auto line = read_line(name);
    if (!line) {
        return line.error();
    }
    std::vector<resource_status> found;
    found.push_back(std::move(*line));
    if (auto notes = read_notes(found); !notes) {
        return notes.error();
    }
    if (auto proposals = read_proposals(found); !proposals) {
        return proposals.error();
    }
    return std::move(found.front());
}

result<std::vector<resource_status>> lister::run() {
    const auto names = find_names();
    if (!names) {
        return names.error();
    }
    std::vector<resource_status> found;
    for (const std::string& name : *names) {
        auto line = read_line(name);
        if (!line) {
            return line.error();
        }
        // It may have become free since its key was seen, or only a foreigner be left of it.
        const bool ours = std::any_of(line->claims.begin(), line->claims.end(),
                                      [](const claim_status& claim) { return !claim.foreign; });
        if (ours) {
            found.push_back(std::move(*line));
        }
    }
    if (auto notes = read_notes(found); !notes) {
        return notes.error();
    }
    if (auto proposals = read_proposals(found); !proposals) {
        return proposals.error();
    }
    return found;
}

} // namespace

result<std::vector<resource_status>> list_resources(engine& on, instant give_up) {
    return lister(on, give_up).run();
}

result<resource_status> show_resource(engine& on, const std::string& name, instant give_up) {
    if (name.starts_with(own_prefix)) {
        return error(errc::misuse, "'" + name + "' is no lock: names that begin with '" +
                                       std::string(own_prefix) + "' are kept for Holdfast's own keys");
    }
    return lister(on, give_up).show(name);
}

} // namespace holdfast::redis
