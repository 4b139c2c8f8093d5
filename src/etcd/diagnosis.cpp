#include "diagnosis.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>

#include "errors.hpp"
#include "keys.hpp"
#include "line_reading.hpp"
#include "listing.hpp"
#include "messages.hpp"
#include "rpc.hpp"

#include "core/boottime.hpp"

namespace holdfast::etcd {
namespace {

using severity = finding::severity;
using std::chrono::nanoseconds;

constexpr int probes = 5;
constexpr auto probe_limit = std::chrono::seconds(2); ///< For one call to one endpoint.

std::string in_ms(nanoseconds time) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f ms", static_cast<double>(time.count()) / 1e6);
    return text;
}

std::string in_s(nanoseconds time) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g s", static_cast<double>(time.count()) / 1e9);
    return text;
}

// One examination under way.
class examination {
  public:
    examination(const settings& how, nanoseconds ttl, instant give_up)
        : how_(how), ttl_(ttl), give_up_(give_up) {}

    std::vector<finding> run() {
        for (const std::string& endpoint : how_.endpoints) {
            look_at(endpoint);
        }
        if (!best_) {
            return std::move(out_);
        }
        compare_clusters();
        measure_round_trip();
        try_lease();
        try_rights();
        look_for_keys_without_lease();
        return std::move(out_);
    }

  private:
    instant soon() const { return std::min(give_up_, boottime() + probe_limit); }
    void say(severity level, std::string what, std::string seen, std::string remedy = {}) {
        out_.push_back({level, std::move(what), std::move(seen), std::move(remedy)});
    }

    // Each endpoint is asked over a connection of its own, so that no other answers in its stead.
    void look_at(const std::string& endpoint) {
        settings alone = how_;
        alone.endpoints = {endpoint};
        auto calls = transport::make(alone);
        const outcome reply = calls->call_and_wait(method::status, {}, soon(), repeat::freely);
        status_reply status;
        if (!reply.ok()) {
            say(severity::error, "endpoint", to_error(reply, "asking for the status", effect::none).message(),
                "start this member, or take it out of the URL");
            return;
        }
        if (!decode(reply.body, status) || status.version.empty()) {
            say(severity::error, "endpoint", endpoint + " does not answer as etcd does",
                "check the address and the port: clients' is usually 2379");
            return;
        }
        say(severity::fine, "endpoint", endpoint + " answers, etcd " + status.version);
        if (status.leader == 0) {
            say(severity::error, "leader", endpoint + " knows no leader",
                "bring a majority of the members back; until then no lock can be taken or renewed");
        } else {
            say(severity::fine, "leader", endpoint + " follows a leader");
        }
        const std::string bugs = lease_bugs(status.version);
        if (!bugs.empty()) {
            say(severity::warning, "version", endpoint + " runs etcd " + status.version + ": " + bugs,
                "upgrade to 3.4.38, 3.5.23, 3.6.5 or later");
        } else {
            say(severity::fine, "version", endpoint + " runs a version without known lease bugs");
        }
        if (status.errors.empty()) {
            say(severity::fine, "alarms", endpoint + " raises no alarm");
        }
        for (const std::string& alarm : status.errors) {
            say(severity::error, "alarms", endpoint + " reports: " + alarm,
                "for NOSPACE: compact and defragment, then etcdctl alarm disarm; until then locks cannot be "
                "taken");
        }
        clusters_.insert(status.head.cluster_id);
        if (!best_ || (status.leader != 0 && !best_has_leader_)) {
            best_ = std::move(calls);
            best_has_leader_ = status.leader != 0;
        }
    }

    void compare_clusters() {
        if (clusters_.size() > 1) {
            say(severity::error, "cluster",
                "the endpoints belong to " + std::to_string(clusters_.size()) + " different clusters",
                "name members of one cluster only: two clusters grant the same lock twice");
        } else {
            say(severity::fine, "cluster",
                "all endpoints that answer are of cluster " +
                    lease_hex(static_cast<std::int64_t>(*clusters_.begin())));
        }
    }

    // Linearizable, so that a majority has its part in it.
    void measure_round_trip() {
        std::vector<nanoseconds> times;
        range_request request;
        request.key = how_.space + "holdfast-doctor/";
        request.keys_only = true;
        for (int i = 0; i < probes; ++i) {
            const instant sent = boottime();
            const outcome reply =
                best_->call_and_wait(method::range, encode(request), soon(), repeat::freely);
            if (!reply.ok() && reply.code != rpc_code::permission_denied) {
                say(severity::error, "round-trip", to_error(reply, "reading", effect::none).message(),
                    "see the findings on endpoint and leader");
                return;
            }
            times.push_back(boottime() - sent);
        }
        std::ranges::sort(times);
        const nanoseconds median = times[times.size() / 2];
        const std::string seen = "a read that a majority confirms takes " + in_ms(median) + " (median of " +
                                 std::to_string(probes) + "); the TTL is " + in_s(ttl_);
        if (median > ttl_ / 30) {
            say(median > ttl_ / 6 ? severity::error : severity::warning, "round-trip", seen,
                "use a longer TTL, or a cluster that is nearer or less loaded: a renewal must come through "
                "several times in one TTL");
        } else {
            say(severity::fine, "round-trip", seen);
        }
    }

    void try_lease() {
        const std::int64_t asked_s = std::chrono::ceil<std::chrono::seconds>(ttl_).count();
        const outcome reply =
            best_->call_and_wait(method::lease_grant, encode_lease_grant(asked_s), soon(), repeat::freely);
        lease_reply lease;
        if (!reply.ok() || !decode_lease_grant(reply.body, lease) || lease.id == 0) {
            say(severity::error, "lease",
                reply.ok() ? "a lease was granted in a form that is not etcd's"
                           : to_error(reply, "granting a lease", effect::none).message(),
                "see the findings on leader and rights");
            return;
        }
        static_cast<void>(best_->call_and_wait(method::lease_revoke, encode_lease_revoke(lease.id), soon(),
                                               repeat::freely));
        const std::string seen =
            "asked for " + in_s(ttl_) + ", granted " + std::to_string(lease.ttl_s) + " s";
        if (lease.ttl_s > asked_s) {
            say(severity::warning, "lease", seen + ": a crashed holder is noticed that much later",
                "etcd grants no less than 1.5 election time-outs; ask for at least that, or lower "
                "--election-timeout");
        } else {
            say(severity::fine, "lease", seen);
        }
    }

    // etcd checks the rights on all branches of a transaction, also on those that it does not take.
    void try_rights() {
        txn_request request;
        const std::string key = how_.space + "holdfast-doctor/rights";
        request.compares.push_back({key, {}, compare::relation::less, 0});
        request.success.emplace_back(put_request{key, {}, 0});
        request.success.emplace_back(range_request{how_.space + "holdfast-doctor/",
                                                   how_.space + "holdfast-doctor0", 1, 0, 0, false, true});
        const outcome reply = best_->call_and_wait(method::txn, encode(request), soon(), repeat::freely);
        const std::string where = how_.space.empty() ? "all keys" : "keys below '" + how_.space + "'";
        if (reply.ok()) {
            say(severity::fine, "rights", "may read and write " + where);
        } else if (reply.code == rpc_code::permission_denied) {
            say(severity::warning, "rights", "may not read and write " + where,
                "grant the user's role readwrite on the prefix of the names it locks; fine if it may do that "
                "for "
                "these names only");
        } else {
            say(severity::error, "rights", to_error(reply, "checking the rights", effect::none).message(),
                "see the findings on leader and alarms, and check user and password");
        }
    }

    // Whoever puts a key below a lock's name stands in its line; without a lease it stands there for ever.
    void look_for_keys_without_lease() {
        line_reading reading = read_keys(*best_, how_.space, give_up_);
        const std::string where = how_.space.empty() ? "any line" : "any line below '" + how_.space + "'";
        if (reading.failure.code == rpc_code::permission_denied) {
            return; // The finding on rights says so.
        }
        if (!reading.failure.ok()) {
            say(severity::warning, "line",
                "whether a key without a lease stands in " + where +
                    " is not known: " + to_error(reading.failure, "reading all keys", effect::none).message(),
                "ask about a namespace with fewer keys (etcd://host:port/namespace)");
            return;
        }
        std::vector<std::string> found;
        for (const auto& [name, line] : lines_among(how_.space, std::move(reading.keys))) {
            for (const key_value& kv : line) {
                if (kv.lease == 0) {
                    found.push_back("'" + kv.key + "'");
                }
            }
        }
        if (found.empty()) {
            say(severity::fine, "line", "no key without a lease stands in " + where);
            return;
        }
        constexpr std::size_t shown = 5;
        std::string seen = found.size() == 1 ? std::string("a key without a lease stands in a lock's line: ")
                                             : std::to_string(found.size()) +
                                                   " keys without a lease stand in locks' lines: ";
        for (std::size_t i = 0; i < std::min(found.size(), shown); ++i) {
            seen += (i == 0 ? "" : ", ") + found[i];
        }
        seen += found.size() > shown ? " and others" : "";
        say(severity::error, "line", seen + "; whoever comes after it waits until somebody deletes it",
            "delete it with etcdctl del, and keep nothing but locks below a lock's name");
    }

    const settings& how_;
    const nanoseconds ttl_;
    const instant give_up_;
    std::vector<finding> out_;
    std::unique_ptr<transport> best_; ///< To a member that answers, with a leader if there is one.
    bool best_has_leader_ = false;
    std::set<std::uint64_t> clusters_;
};

struct version_number {
    int major = 0;
    int minor = 0;
    int patch = 0;
};

std::optional<version_number> parse_version(std::string_view text) {
    version_number out;
    int* const parts[] = {&out.major, &out.minor, &out.patch};
    for (int* part : parts) {
        const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), *part);
        if (failure != std::errc()) {
            return std::nullopt;
        }
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        if (!text.empty() && text.front() == '.') {
            text.remove_prefix(1);
        }
    }
    return out;
}

} // namespace

std::string lease_bugs(std::string_view version) {
    const auto number = parse_version(version);
    if (!number || number->major != 3 || number->minor > 6) {
        return {};
    }
    struct fixes {
        int minor;
        int revoke;
        int renew;
    };
    // The releases in which each line of versions got the two corrections.
    constexpr fixes known[] = {{4, 31, 38}, {5, 13, 23}, {6, 0, 5}};
    for (const fixes& line : known) {
        if (number->minor < line.minor || (number->minor == line.minor && number->patch < line.revoke)) {
            return "a leader that was replaced without noticing may still revoke leases that are in use; a "
                   "holder "
                   "learns of it at once";
        }
        if (number->minor == line.minor) {
            return number->patch < line.renew ? "a leader that was replaced without noticing may confirm "
                                                "renewals that have no effect"
                                              : std::string();
        }
    }
    return {};
}

std::vector<finding> diagnose(const settings& how, nanoseconds ttl, instant give_up) {
    return examination(how, ttl, give_up).run();
}

} // namespace holdfast::etcd
