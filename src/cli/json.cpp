#include "cli/json.hpp"

#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "cli/run_report.hpp"
#include "cli/text.hpp"
#include "cli/words.hpp"

namespace holdfast::cli {
namespace {

using nlohmann::ordered_json;

std::int64_t to_ms(std::chrono::nanoseconds duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

/// RFC 3339 in UTC, with milliseconds.
std::string to_utc(std::chrono::system_clock::time_point at) {
    const auto ms = std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch()).count();
    const auto seconds = static_cast<std::time_t>(ms >= 0 ? ms / 1000 : (ms - 999) / 1000);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[64];
    const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(text + length, sizeof text - length, ".%03dZ", static_cast<int>(ms - seconds * 1000));
    return text;
}

template <typename Value>
ordered_json or_null(bool known, Value value) {
    return known ? ordered_json(std::move(value)) : ordered_json(nullptr);
}

void put_who(ordered_json& out, const holder_info& who) {
    out["user"] = or_null(!who.user.empty(), who.user);
    out["host"] = or_null(!who.host.empty(), who.host);
    out["pid"] = or_null(who.pid != 0, who.pid);
    out["command"] = or_null(!who.command.empty(), who.command);
    out["why"] = or_null(!who.why.empty(), who.why);
}

ordered_json claim_json(const claim_status& claim, bool is_lock) {
    ordered_json out;
    out["id"] = claim.id;
    out["holds"] = claim.holds;
    out["state"] = word_of(state_of(claim));
    if (is_lock) {
        out["mode"] = mode_of(claim);
    } else {
        out["permits"] = claim.weight;
    }
    // As text: beyond 2^53 many readers of JSON round numbers.
    out["token"] = or_null(claim.token != 0, std::to_string(claim.token));
    put_who(out, claim.who.value_or(holder_info{}));
    out["since"] = claim.since ? ordered_json(to_utc(*claim.since)) : ordered_json(nullptr);
    const bool ends = claim.ttl_left && *claim.ttl_left != until_death;
    out["ttl_left_ms"] = ends ? ordered_json(to_ms(*claim.ttl_left)) : ordered_json(nullptr);
    out["proposal"] = claim.proposal ? ordered_json(*claim.proposal) : ordered_json(nullptr);
    return out;
}

void put_name(ordered_json& out, const std::string& name) {
    out["name"] = name;
    if (!is_utf8(name)) {
        out["name_b64"] = base64(name);
    }
}

void put_kind(ordered_json& out, const resource_status& resource) {
    // A line that nobody stands in has neither.
    const bool is_known = !resource.claims.empty();
    const bool is_lock = resource.capacity == lock_capacity;
    out["kind"] = or_null(is_known, is_lock ? "lock" : "permits");
    out["capacity"] = or_null(is_known, is_lock ? 1 : resource.capacity);
}

ordered_json resource_json(const resource_status& resource) {
    const bool is_lock = resource.capacity == lock_capacity;
    ordered_json out;
    put_name(out, resource.name);
    put_kind(out, resource);
    out["claims"] = ordered_json::array();
    for (const claim_status& claim : resource.claims) {
        out["claims"].push_back(claim_json(claim, is_lock));
    }
    return out;
}

std::string dump(const ordered_json& value, int indent) {
    return value.dump(indent, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

} // namespace

std::string list_json(const std::string& url, const store_traits& traits,
                      const std::vector<resource_status>& resources) {
    ordered_json out;
    out["url"] = url;
    out["engine"] = traits.engine;
    out["level"] = std::string(to_string(traits.gives));
    out["resources"] = ordered_json::array();
    for (const resource_status& resource : resources) {
        out["resources"].push_back(resource_json(resource));
    }
    return dump(out, 2);
}

std::string show_json(const std::string& url, const store_traits& traits, const resource_status& resource) {
    ordered_json out;
    out["url"] = url;
    out["engine"] = traits.engine;
    out["level"] = std::string(to_string(traits.gives));
    out["resource"] = resource_json(resource);
    return dump(out, 2);
}

std::string change_json(const line_change& change, std::chrono::system_clock::time_point at) {
    ordered_json out;
    out["at"] = to_utc(at);
    out["event"] = change.event;
    put_name(out, change.resource->name);
    put_kind(out, *change.resource);
    out["claim"] = change.claim == nullptr
                       ? ordered_json(nullptr)
                       : claim_json(*change.claim, change.resource->capacity == lock_capacity);
    return dump(out, -1);
}

std::string leader_json(const std::string& name, const std::optional<leader>& leads,
                        std::chrono::system_clock::time_point at) {
    ordered_json out;
    out["at"] = to_utc(at);
    put_name(out, name);
    out["leader"] = nullptr;
    if (leads) {
        ordered_json one;
        one["proposal"] = leads->proposal;
        one["token"] = or_null(leads->token.value() != 0, std::to_string(leads->token.value()));
        put_who(one, leads->who.value_or(holder_info{}));
        out["leader"] = std::move(one);
    }
    return dump(out, -1);
}

std::string break_json(const std::string& url, const std::string& name, std::size_t broken) {
    ordered_json out;
    out["url"] = url;
    put_name(out, name);
    out["broken"] = broken;
    return dump(out, 2);
}

std::string resize_json(const std::string& url, const std::string& name, std::uint32_t permits,
                        bool resized) {
    ordered_json out;
    out["url"] = url;
    put_name(out, name);
    out["capacity"] = permits;
    out["resized"] = resized;
    return dump(out, 2);
}

std::string doctor_json(const doctor_report& report) {
    const bool reached = !report.url.empty();
    ordered_json out;
    out["url"] = or_null(reached, report.url);
    out["engine"] = or_null(reached, report.traits.engine);
    out["level"] = or_null(reached, std::string(to_string(report.traits.gives)));
    out["why"] = or_null(!report.traits.why.empty(), report.traits.why);
    out["findings"] = ordered_json::array();
    for (const finding& each : report.findings) {
        ordered_json one;
        one["severity"] = word_of(each.how);
        one["what"] = each.what;
        one["seen"] = each.seen;
        one["remedy"] = or_null(!each.remedy.empty(), each.remedy);
        out["findings"].push_back(std::move(one));
    }
    return dump(out, 2);
}

std::string version_json(const std::string& version, const std::vector<std::string>& stores) {
    ordered_json out;
    out["version"] = version;
    out["stores"] = stores;
    return dump(out, 2);
}

std::string report_line(const run_report& report) {
    ordered_json out;
    out["outcome"] = report.outcome;
    out["exit"] = report.exit;
    out["signal"] = report.signal ? ordered_json(*report.signal) : ordered_json(nullptr);
    out["token"] = or_null(report.token != 0, std::to_string(report.token));
    out["waited_ms"] = to_ms(report.waited);
    out["held_ms"] = to_ms(report.held);
    out["reason"] = or_null(!report.reason.empty(), report.reason);
    return dump(out, -1);
}

} // namespace holdfast::cli
