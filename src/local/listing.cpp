#include "listing.hpp"

#include <algorithm>

#include "life.hpp"
#include "line.hpp"
#include "pools.hpp"
#include "proposal.hpp"
#include "seat.hpp"

namespace holdfast::local {
namespace {

using std::chrono::milliseconds;

std::optional<std::chrono::system_clock::time_point> since(const segment& in, const record& of,
                                                           const standing& each) {
    std::uint64_t ms = 0;
    if (each.cell != 0) {
        ms = in.data().cells[each.cell].since_ms.load(std::memory_order_acquire);
    } else {
        const std::uint64_t noted = of.since.load(std::memory_order_acquire);
        // Holds of the fast path leave no note: they read no clock.
        ms = noted >> 44 == (each.sequence & 0xFFFFF) ? noted & ((std::uint64_t{1} << 44) - 1) : 0;
    }
    if (ms == 0) {
        return std::nullopt;
    }
    return std::chrono::system_clock::time_point(milliseconds(ms));
}

claim_status show(const segment& in, std::uint32_t record, const standing& each) {
    const local::record& of = in.data().records[record];
    slot& sits = in.data().slots[each.slot];
    const std::uint64_t session = sits.session.load(std::memory_order_acquire);
    const std::int64_t left_ms = deadline_ms_of(session) - now_ms();
    claim_status shown;
    shown.id = std::to_string(each.slot) + "." + std::to_string(generation_of(session)) + "." +
               std::to_string(each.sequence);
    shown.holds = each.holds;
    shown.weight = each.weight;
    shown.token = each.holds ? of.base.load(std::memory_order_acquire) + each.sequence : 0;
    shown.stale = state_of(session) != session_state::alive || left_ms < 0 || !pulse_of(sits).living();
    shown.who = who_sits(in, each.slot);
    shown.since = since(in, of, each);
    shown.ttl_left = shown.stale                           ? milliseconds(0)
                     : deadline_ms_of(session) == never_ms ? until_death
                                                           : std::chrono::nanoseconds(milliseconds(left_ms));
    if (each.holds) {
        shown.proposal = read_proposal(in, record, each.sequence);
    }
    return shown;
}

resource_status show(const segment& in, std::uint32_t record, std::string name, const line& now) {
    resource_status shown{.name = std::move(name), .capacity = now.capacity, .claims = {}};
    for (const standing& each : now.claims) {
        shown.claims.push_back(show(in, record, each));
    }
    return shown;
}

} // namespace

result<std::vector<resource_status>> list_segment(const segment& in) {
    std::vector<resource_status> all;
    const std::uint32_t used = std::min(in.data().head.record_high.load(), record_count);
    line now;
    for (std::uint32_t index = 0; index < used; ++index) {
        if (!is_published(in, index)) {
            continue;
        }
        auto name = name_of(in, index);
        if (!name || !read_line(in, index, now)) {
            return damaged(in);
        }
        if (!now.claims.empty()) {
            all.push_back(show(in, index, std::move(*name), now));
        }
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return all;
}

result<resource_status> show_name(const segment& in, const std::string& name) {
    const found_name found = find_record(in, name);
    line now;
    if (found.what == found_name::outcome::absent) {
        return resource_status{.name = name, .claims = {}};
    }
    if (found.what != found_name::outcome::found || !read_line(in, found.record, now)) {
        return damaged(in);
    }
    if (now.claims.empty()) {
        return resource_status{.name = name, .claims = {}};
    }
    return show(in, found.record, name, now);
}

} // namespace holdfast::local
