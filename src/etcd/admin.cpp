#include "admin.hpp"

#include <algorithm>
#include <span>
#include <tuple>

#include "errors.hpp"
#include "keys.hpp"
#include "line_reading.hpp"
#include "messages.hpp"
#include "value.hpp"

namespace holdfast::etcd {
namespace {

constexpr const char* break_step = "breaking holds";
constexpr const char* resize_step = "resizing";
constexpr std::int64_t passing_ttl_s =
    5; ///< Of the lease that broken claims end under, should we not get to it.
/// etcd takes 128 steps in one transaction, those inside of others counted with the outer ones.
constexpr std::size_t steps_per_txn = 60;
constexpr int max_rounds =
    100; ///< Of a resize; each takes in what came since the last, and hardly ever is there any.

struct placed_key {
    key_value kv;
    core::place place;
    bool kept = false;
    bool holds = false;
};

// The line's own claims, oldest first.
result<std::vector<placed_key>> read_places(transport& calls, const std::string& prefix, const char* step,
                                            instant give_up) {
    line_reading reading = read_values(calls, prefix, give_up);
    if (!reading.failure.ok()) {
        return to_error(reading.failure, step, effect::none);
    }
    std::vector<placed_key> line;
    for (key_value& kv : reading.keys) {
        if (const auto found = place_of(prefix, kv)) {
            line.push_back({std::move(kv), found->place, found->kept, false});
        }
    }
    std::ranges::sort(line, [](const placed_key& left, const placed_key& right) {
        return std::tie(left.kv.create_revision, left.kv.key) <
               std::tie(right.kv.create_revision, right.kv.key);
    });
    std::vector<standing> places;
    for (const placed_key& one : line) {
        places.push_back({one.place, one.kept});
    }
    const std::size_t granted = granted_places(places);
    for (std::size_t i = 0; i < granted; ++i) {
        line[i].holds = true;
    }
    return line;
}

compare still_the_same(const key_value& kv) {
    return {kv.key, {}, compare::relation::equal, kv.create_revision};
}

// Each step by its own condition; how many of them were taken.
result<std::size_t> perform(transport& calls, std::span<const conditional> steps, const char* step,
                            instant give_up) {
    std::size_t applied = 0;
    for (std::size_t first = 0; first < steps.size(); first += steps_per_txn) {
        txn_request request;
        for (const conditional& one : steps.subspan(first, std::min(steps_per_txn, steps.size() - first))) {
            request.success.emplace_back(one);
        }
        const outcome reply = calls.call_and_wait(method::txn, encode(request), give_up, repeat::never);
        if (!reply.ok()) {
            const error failed = to_error(reply, step, effect::change);
            return applied == 0 ? failed : error(errc::unknown_outcome, failed.message());
        }
        txn_reply answer;
        if (!decode(reply.body, answer)) {
            return bad_reply(reply, step, effect::change);
        }
        applied += static_cast<std::size_t>(
            std::ranges::count_if(answer.results, [](const range_reply& one) { return one.applied; }));
    }
    return applied;
}

// Moves the claims to a lease of our own, and says which; 0 where that does not work out, and nobody needs
// it.
std::int64_t move_away(transport& calls, const std::vector<placed_key>& line, instant give_up) {
    const outcome reply =
        calls.call_and_wait(method::lease_grant, encode_lease_grant(passing_ttl_s), give_up, repeat::freely);
    lease_reply lease;
    if (!reply.ok() || !decode_lease_grant(reply.body, lease) || lease.id == 0) {
        return 0;
    }
    std::vector<conditional> steps;
    for (const placed_key& one : line) {
        if (!one.place.foreign) {
            put_request put{one.kv.key, {}, lease.id};
            put.keep_value = true;
            steps.push_back({still_the_same(one.kv), std::move(put)});
        }
    }
    static_cast<void>(perform(calls, steps, break_step, give_up));
    return lease.id;
}

} // namespace

result<std::size_t> break_holds(transport& calls, const std::string& space, const resource_name& name,
                                std::optional<token> only, instant give_up) {
    const std::string prefix = line_prefix(space, name);
    auto line = read_places(calls, prefix, break_step, give_up);
    if (!line) {
        return line.error();
    }
    std::erase_if(*line, [&](const placed_key& one) {
        return !one.holds || (only && only->value() != static_cast<std::uint64_t>(one.kv.create_revision));
    });
    if (line->empty()) {
        return std::size_t{0};
    }
    const std::int64_t passing = move_away(calls, *line, give_up);
    std::vector<conditional> steps;
    for (const placed_key& one : *line) {
        steps.push_back({still_the_same(one.kv), delete_request{one.kv.key}});
    }
    result<std::size_t> broken = perform(calls, steps, break_step, give_up);
    if (passing != 0) {
        calls.call(method::lease_revoke, encode_lease_revoke(passing), give_up, repeat::freely,
                   [](const outcome&) {});
    }
    return broken;
}

result<void> resize(transport& calls, const std::string& space, const resource_name& name,
                    std::uint32_t permits, instant give_up) {
    if (permits == 0 || permits > max_permits) {
        return error(errc::misuse,
                     "a semaphore has between 1 and " + std::to_string(max_permits) + " permits");
    }
    const std::string prefix = line_prefix(space, name);
    for (int round = 0; round < max_rounds; ++round) {
        const auto line = read_places(calls, prefix, resize_step, give_up);
        if (!line) {
            return line.error();
        }
        std::vector<conditional> steps;
        for (const placed_key& one : *line) {
            if (one.place.foreign) {
                continue;
            }
            if (one.place.capacity == lock_capacity) {
                return error(errc::misuse, "the name is in use as a lock; only a semaphore can be resized");
            }
            if (one.place.weight > permits) {
                return error(errc::misuse, "a claim in the line weighs " + std::to_string(one.place.weight) +
                                               ", more than " + std::to_string(permits) + " permits");
            }
            if (one.place.capacity == permits) {
                continue;
            }
            claim_note note = read_value(one.kv.value);
            note.capacity = permits;
            note.kept = one.holds;
            put_request put{one.kv.key, write_value(note, one.place.capacity)};
            put.keep_lease = true;
            steps.push_back({{one.kv.key,
                              {},
                              compare::relation::equal,
                              one.kv.mod_revision,
                              compare::subject::modification},
                             std::move(put)});
        }
        if (steps.empty()) {
            const bool only_foreign = !line->empty() && std::ranges::all_of(*line, [](const placed_key& one) {
                return one.place.foreign;
            });
            return only_foreign ? result<void>(error(errc::misuse, "the name is held by a client that is not "
                                                                   "Holdfast; it counts as a lock"))
                                : result<void>();
        }
        // What is appended from here on is judged by the new number. What came since the reading is met by
        // the next round.
        if (const auto done = perform(calls, steps, resize_step, give_up); !done) {
            return done.error();
        }
    }
    return error(errc::unknown_outcome, "resizing: the line changed faster than it could be resized");
}

} // namespace holdfast::etcd
