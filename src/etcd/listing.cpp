#include "listing.hpp"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string_view>

#include "core/line.hpp"
#include "errors.hpp"
#include "keys.hpp"
#include "messages.hpp"
#include "value.hpp"
#include "watcher.hpp"

namespace holdfast::etcd {
namespace {

constexpr const char* step = "listing";
constexpr std::size_t values_per_txn = 100;
constexpr std::size_t max_leases = 1000; ///< Beyond them no time left is shown.

using lines = lock_lines;

// Several calls at once, and their answers in the order of the requests.
std::vector<outcome> all(transport& calls, const char* method, std::vector<std::string> requests,
                         instant give_up) {
    struct box {
        std::mutex mutex;
        std::condition_variable changed;
        std::vector<outcome> answers;
        std::size_t open = 0;
    };
    auto place = std::make_shared<box>();
    place->answers.resize(requests.size());
    constexpr std::size_t at_once = 32;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        {
            std::unique_lock lock(place->mutex);
            place->changed.wait(lock, [&] { return place->open < at_once; });
            ++place->open;
        }
        calls.call(method, std::move(requests[i]), give_up, repeat::freely, [place, i](outcome what) {
            const std::lock_guard lock(place->mutex);
            place->answers[i] = std::move(what);
            --place->open;
            place->changed.notify_all();
        });
    }
    std::unique_lock lock(place->mutex);
    place->changed.wait(lock, [&] { return place->open == 0; });
    return std::move(place->answers);
}

// Ours have their values read afterwards, in few requests: what other programs keep below a namespace may be
// large. What cannot be read is not shown.
void add_values(transport& calls, lines& keys, std::int64_t revision, instant give_up) {
    std::vector<key_value*> targets;
    std::vector<txn_request> requests;
    for (auto& [name, line] : keys) {
        for (key_value& kv : line) {
            if (!parse_claim(std::string_view(kv.key).substr(kv.key.rfind('/') + 1))) {
                continue;
            }
            if (targets.size() % values_per_txn == 0) {
                requests.emplace_back();
            }
            range_request one;
            one.key = kv.key;
            one.revision = revision;
            requests.back().success.emplace_back(std::move(one));
            targets.push_back(&kv);
        }
    }
    std::vector<std::string> encoded;
    for (const txn_request& request : requests) {
        encoded.push_back(encode(request));
    }
    const std::vector<outcome> answers = all(calls, method::txn, std::move(encoded), give_up);
    for (std::size_t i = 0; i < answers.size(); ++i) {
        txn_reply answer;
        if (!answers[i].ok() || !decode(answers[i].body, answer)) {
            continue;
        }
        for (std::size_t k = 0; k < answer.results.size() && i * values_per_txn + k < targets.size(); ++k) {
            std::vector<key_value>& found = answer.results[k].kvs;
            if (!found.empty()) {
                targets[i * values_per_txn + k]->value = std::move(found.front().value);
            }
        }
    }
}

void describe(const key_value& kv, const core::place& place, claim_status& out) {
    if (place.foreign) {
        // Go's election: the value is what its leader proclaims. Its mutex has none.
        if (!kv.value.empty()) {
            out.proposal = kv.value;
        }
        return;
    }
    if (kv.value.empty() && kv.mod_revision == 0) {
        return; // Not read.
    }
    claim_note note = read_value(kv.value);
    if (!note.who.user.empty() || !note.who.host.empty() || note.who.pid != 0 || note.since) {
        out.who = std::move(note.who);
    }
    out.since = note.since;
    out.proposal = std::move(note.proposal);
}

// The claims of one line, oldest first.
resource_status show(const std::string& prefix, const std::string& name, const std::vector<key_value>& line) {
    resource_status out;
    out.name = name;
    std::vector<standing> places;
    for (const key_value& kv : line) {
        places.push_back(*place_of(prefix, kv));
    }
    const std::size_t granted = granted_places(places);
    const auto first = std::ranges::find_if(places, [](const standing& one) { return !one.place.foreign; });
    out.capacity = first == places.end() ? lock_capacity : first->place.capacity;
    for (std::size_t i = 0; i < line.size(); ++i) {
        claim_status status;
        status.id = line[i].key.substr(prefix.size());
        status.holds = i < granted;
        status.weight = places[i].place.foreign ? out.capacity : places[i].place.weight;
        status.token = status.holds ? static_cast<std::uint64_t>(line[i].create_revision) : 0;
        status.foreign = places[i].place.foreign;
        describe(line[i], places[i].place, status);
        out.claims.push_back(std::move(status));
    }
    return out;
}

void add_leases(transport& calls, const lines& keys, std::vector<resource_status>& out, instant give_up) {
    std::map<std::int64_t, std::optional<std::int64_t>> left_s;
    for (const auto& [name, line] : keys) {
        for (const key_value& kv : line) {
            if (kv.lease != 0 && left_s.size() < max_leases) {
                left_s.emplace(kv.lease, std::nullopt);
            }
        }
    }
    std::vector<std::string> requests;
    for (const auto& [lease, left] : left_s) {
        requests.push_back(encode_lease_time_to_live(lease));
    }
    const std::vector<outcome> answers = all(calls, method::lease_time_to_live, std::move(requests), give_up);
    for (std::size_t i = 0; auto& [lease, left] : left_s) {
        lease_reply answer;
        if (answers[i].ok() && decode_lease_time_to_live(answers[i].body, answer)) {
            left = answer.ttl_s;
        }
        ++i;
    }
    for (std::size_t i = 0; const auto& [name, line] : keys) {
        for (std::size_t k = 0; k < line.size(); ++k) {
            const auto found = left_s.find(line[k].lease);
            if (found == left_s.end() || !found->second) {
                continue;
            }
            // -1: the lease has ended, and the server has still to take its keys away.
            out[i].claims[k].stale = *found->second < 0;
            out[i].claims[k].ttl_left =
                std::chrono::seconds(std::clamp<std::int64_t>(*found->second, 0, 1LL << 30));
        }
        ++i;
    }
}

} // namespace

lock_lines lines_among(const std::string& space, std::vector<key_value> keys) {
    lock_lines out;
    std::set<std::string> locks;
    for (key_value& kv : keys) {
        const std::size_t slash = kv.key.rfind('/');
        if (slash == std::string::npos || slash <= space.size()) {
            continue;
        }
        const std::string name = kv.key.substr(space.size(), slash - space.size());
        const std::string_view text = std::string_view(kv.key).substr(slash + 1);
        if (parse_claim(text) || looks_like_lock(text, kv.lease)) {
            locks.insert(name);
        }
        out[name].push_back(std::move(kv));
    }
    std::erase_if(out, [&](const auto& entry) { return !locks.contains(entry.first); });
    for (auto& [name, line] : out) {
        std::ranges::stable_sort(line, {}, &key_value::create_revision);
    }
    return out;
}

result<std::vector<resource_status>> list_claims(transport& calls, const std::string& space,
                                                 instant give_up) {
    line_reading reading = read_keys(calls, space, give_up);
    if (!reading.failure.ok()) {
        return to_error(reading.failure, step, effect::none);
    }
    lines keys = lines_among(space, std::move(reading.keys));
    add_values(calls, keys, reading.revision, give_up);
    std::vector<resource_status> out;
    for (const auto& [name, line] : keys) {
        out.push_back(show(space + name + '/', name, line));
    }
    add_leases(calls, keys, out, give_up);
    return out;
}

result<resource_status> show_claims(transport& calls, const std::string& space, const resource_name& name,
                                    instant give_up) {
    const std::string prefix = line_prefix(space, name);
    line_reading reading = read_values(calls, prefix, give_up);
    if (!reading.failure.ok()) {
        return to_error(reading.failure, step, effect::none);
    }
    std::erase_if(reading.keys, [&](const key_value& kv) { return !place_of(prefix, kv); });
    std::ranges::stable_sort(reading.keys, {}, &key_value::create_revision);
    std::vector<resource_status> out{show(prefix, name.bytes(), reading.keys)};
    lines keys;
    keys.emplace(name.bytes(), std::move(reading.keys));
    add_leases(calls, keys, out, give_up);
    return std::move(out.front());
}

} // namespace holdfast::etcd
