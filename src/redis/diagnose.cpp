// What `doctor` looks at: everything that breaks locks on Redis, each with what to do about it.
#include "store.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "scripts.hpp"
#include "server_facts.hpp"
#include "slots.hpp"
#include "words.hpp"

namespace holdfast::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using severity = finding::severity;

constexpr auto boot = clock_source::boottime;

std::string in_ms(nanoseconds time) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f ms", static_cast<double>(time.count()) / 1e6);
    return text.data();
}

class examination {
  public:
    examination(engine& on, nanoseconds ttl, instant give_up) : on_(on), ttl_(ttl), give_up_(give_up) {}

    std::vector<finding> run() {
        if (reach()) {
            version();
            topology();
            eviction();
            persistence();
            rights();
            gates();
            level_given();
        }
        return std::move(found_);
    }

  private:
    void note(severity how, std::string what, std::string seen, std::string remedy = {}) {
        found_.push_back({how, std::move(what), std::move(seen), std::move(remedy)});
    }

    bool reach();
    void clock(nanoseconds wall_then, nanoseconds trip);
    void version();
    void topology();
    void eviction();
    void persistence();
    void rights();
    void gates();
    void level_given();
    /// Empty: it could not be read.
    std::string configured(const std::string& key) const {
        const auto read = facts_.configured.find(key);
        return read == facts_.configured.end() ? std::string() : read->second;
    }

    engine& on_;
    const nanoseconds ttl_;
    const instant give_up_;
    server_facts facts_;
    std::vector<finding> found_;
};

// The shortest of a few round trips: the first one may have to connect.
bool examination::reach() {
    nanoseconds best = nanoseconds::max();
    nanoseconds wall_then{};
    for (int i = 0; i < 4; ++i) {
        const instant from = now(boot);
        const nanoseconds wall = std::chrono::system_clock::now().time_since_epoch();
        const auto got = on_.query(server_facts::questions(), give_up_);
        if (!got) {
            note(severity::error, "reachability", got.error().message(),
                 "start the server, or correct the URL, the password or the network");
            return false;
        }
        if ((*got)[0].is_error()) {
            note(severity::error, "reachability", error_of((*got)[0], on_.where).message(),
                 "give the user the rights that locks need");
            return false;
        }
        if (const nanoseconds trip = now(boot) - from; trip < best) {
            best = trip;
            wall_then = wall;
            facts_ = server_facts::from(*got);
        }
    }
    note(severity::fine, "reachability", "Redis at " + on_.where.shown() + " answers");
    const std::string seen = "a round trip takes " + in_ms(best) + ", the TTL is " + in_ms(ttl_);
    if (best > ttl_ / 10) {
        note(best > ttl_ / 3 ? severity::error : severity::warning, "round trip", seen,
             "choose a longer TTL, or a server that is nearer: a renewal every TTL/3 has to fit in");
    } else {
        note(severity::fine, "round trip", seen);
    }
    clock(wall_then, best);
    return true;
}

void examination::clock(nanoseconds wall_then, nanoseconds trip) {
    if (!facts_.time_us) {
        note(severity::warning, "clock", "the server's time cannot be read",
             "look at what answers there; is it Redis?");
        return;
    }
    const nanoseconds offset = std::chrono::microseconds(*facts_.time_us) - (wall_then + trip / 2);
    const nanoseconds size = std::max(offset, -offset);
    const std::string seen = "the server's clock is " + in_ms(size) +
                             (offset < nanoseconds::zero() ? " behind" : " ahead of") +
                             " ours (give or take " + in_ms(trip) + ")";
    if (size > std::chrono::seconds(1) + trip) {
        note(severity::warning, "clock", seen,
             "run NTP on both: leases count on the server's clock alone, but a step of it ends them early or "
             "late, and tokens rise with it");
    } else {
        note(severity::fine, "clock", seen);
    }
}

void examination::version() {
    const std::string& version = facts_.version;
    if (version.empty()) {
        note(severity::warning, "version", "the server's version cannot be read",
             "allow INFO to the user: +info");
        return;
    }
    const int major = std::atoi(version.c_str());
    const std::size_t dot = version.find('.');
    const int minor = dot == std::string::npos ? 0 : std::atoi(version.c_str() + dot + 1);
    if (major < 6 || (major == 6 && minor < 2)) {
        note(severity::error, "version", "Redis " + version, "use Redis 6.2 or newer");
    } else {
        note(severity::fine, "version", "Redis " + version);
    }
}

void examination::topology() {
    if (facts_.role == "slave") {
        note(severity::error, "role", "a replica of " + facts_.master_host, "connect to the master");
    }
    if (!facts_.replicas) {
        note(severity::warning, "replicas", "their number cannot be read", "allow INFO to the user: +info");
    } else if (*facts_.replicas != "0") {
        note(severity::warning, "replicas",
             "the server has " + *facts_.replicas +
                 ": a failover loses what had not been replicated, and with it holds",
             "use a master without replicas, or guard every write with the fencing token");
    } else {
        note(severity::fine, "replicas", "none: no failover can lose a hold");
    }
}

void examination::eviction() {
    const std::string policy = configured("maxmemory-policy");
    if (policy.empty()) {
        note(severity::warning, "eviction", "maxmemory-policy cannot be read",
             "allow it to the user: +config|get; or look yourself, and say assume=fenced in the URL");
    } else if (policy != "noeviction") {
        note(severity::error, "eviction",
             "maxmemory-policy is '" + policy + "': a full server deletes locks that are held",
             "CONFIG SET maxmemory-policy noeviction");
    } else {
        note(severity::fine, "eviction", "maxmemory-policy is 'noeviction'");
    }
}

void examination::persistence() {
    const std::string on = configured("appendonly");
    const std::string sync = configured("appendfsync");
    if (on.empty() || sync.empty()) {
        note(severity::warning, "persistence", "appendonly and appendfsync cannot be read",
             "allow it to the user: +config|get; or look yourself, and say assume=fenced in the URL");
    } else if (on != "yes" || sync != "always") {
        note(
            severity::warning, "persistence",
            "appendonly is '" + on + "', appendfsync is '" + sync + "': a restart may forget locks",
            "set appendonly yes and appendfsync always; or start the server again no sooner than the longest "
            "TTL after a crash");
    } else {
        note(severity::fine, "persistence", "every write is on disk before it is acknowledged");
    }
}

void examination::rights() {
    const auto got = on_.query({{"EVAL", std::string(probe_script.text), "1",
                                 std::string(own_prefix) + "probe", std::string(own_prefix) + "probe"}},
                               give_up_);
    if (!got) {
        note(severity::warning, "rights", got.error().message(), "try again");
    } else if (got->front().is_error()) {
        note(severity::error, "rights", error_of(got->front(), on_.where).message(),
             "give the user +eval and +evalsha, and what docs say beside");
    } else if (const std::string refused(got->front().str()); !refused.empty()) {
        note(severity::error, "rights",
             "user '" + (on_.where.user.empty() ? "default" : on_.where.user) + "' may not use: " + refused,
             "grant them with ACL SETUSER, on the keys of your locks and on ~holdfast:* &holdfast:*");
    } else {
        note(severity::fine, "rights", "every command that locks need is allowed");
    }
}

// Keys that stand in the way of our claims and will not go away by themselves, or that tell of another
// dialect.
void examination::gates() {
    const auto lines = list_resources(on_, std::min(give_up_, now(boot) + std::chrono::seconds(2)));
    if (!lines) {
        note(severity::fine, "gates", "not looked through: " + lines.error().message());
        return;
    }
    std::size_t foreign = 0;
    for (const auto& line : *lines) {
        if (line.claims.empty() || !line.claims.front().foreign) {
            continue;
        }
        ++foreign;
        const claim_status& gate = line.claims.front();
        if (gate.id.starts_with("a ")) {
            note(severity::warning, "dialect",
                 "'" + line.name + "', for which a claim of ours waits, is " + gate.id,
                 "use a name of its own: that client's scripts fail on our keys as ours do on its");
        }
        if (!gate.ttl_left) {
            note(severity::warning, "gate without TTL",
                 "'" + line.name + "' is held by another client without a TTL, and a claim of ours waits",
                 "if its owner is gone: holdfast break " + line.name);
        }
    }
    note(severity::fine, "gates",
         std::to_string(lines->size()) + " names in use, " + std::to_string(foreign) +
             " of them held by other clients");
}

void examination::level_given() {
    const verdict_on_level found = judge(facts_, on_.where.assume);
    const std::string gives(to_string(found.gives));
    if (found.gives == level::fenced) {
        note(severity::fine, "level", gives);
    } else {
        note(severity::warning, "level", gives + ", because " + found.why,
             "set what is named, or require no more than '" + gives + "'");
    }
}

} // namespace

std::vector<finding> store::diagnose(nanoseconds ttl, instant give_up) {
    return examination(*engine_, ttl, give_up).run();
}

} // namespace holdfast::redis
