#include "cli/table.hpp"

#include <algorithm>

#include "cli/duration.hpp"
#include "cli/text.hpp"
#include "cli/words.hpp"

namespace holdfast::cli {
namespace {

using row = std::vector<std::string>;
constexpr const char* unknown = "-";

const char* state_color(std::string_view text) {
    if (text == "live") {
        return "\033[32m";
    }
    return text == "stale" ? "\033[31m" : text == "foreign" ? "\033[33m" : "";
}

std::size_t count_waiters(const resource_status& resource) {
    return static_cast<std::size_t>(std::count_if(resource.claims.begin(), resource.claims.end(),
                                                  [](const claim_status& claim) { return !claim.holds; }));
}

/// STATE WHO SINCE TOKEN TTL, the same in every table.
void append_claim(row& fields, const claim_status* claim, std::chrono::system_clock::time_point now) {
    if (claim == nullptr) {
        fields.insert(fields.end(), 5, unknown);
        return;
    }
    fields.push_back(word_of(state_of(*claim)));
    fields.push_back(describe_who(*claim));
    fields.push_back(claim->since ? format_duration(now - *claim->since) + " ago" : unknown);
    fields.push_back(claim->token != 0 ? std::to_string(claim->token) : unknown);
    fields.push_back(!claim->ttl_left                  ? unknown
                     : *claim->ttl_left == until_death ? "until death"
                                                       : format_duration(*claim->ttl_left));
}

row make_row(const resource_status& resource, const claim_status* holder,
             std::chrono::system_clock::time_point now, bool first) {
    row fields{printable(resource.name), describe_kind(resource)};
    append_claim(fields, holder, now);
    fields.push_back(first ? std::to_string(count_waiters(resource)) : unknown);
    return fields;
}

std::string render_aligned(const std::vector<row>& rows, std::size_t state_column, bool colors) {
    std::vector<std::size_t> widths(rows.front().size());
    for (const row& each : rows) {
        for (std::size_t column = 0; column < each.size(); ++column) {
            widths[column] = std::max(widths[column], columns(each[column]));
        }
    }
    std::string text;
    for (const row& each : rows) {
        for (std::size_t column = 0; column < each.size(); ++column) {
            const std::string_view color = colors && column == state_column ? state_color(each[column]) : "";
            text += color;
            text += each[column];
            text += color.empty() ? "" : "\033[0m";
            if (column + 1 < each.size()) {
                text.append(widths[column] - columns(each[column]) + 2, ' ');
            }
        }
        text += '\n';
    }
    return text;
}

std::string render_rows(std::vector<row> rows, const row& header, const table_style& style) {
    if (style.aligned) {
        const auto state = std::find(header.begin(), header.end(), "STATE") - header.begin();
        rows.insert(rows.begin(), header);
        return render_aligned(rows, static_cast<std::size_t>(state), style.colors);
    }
    std::string text;
    for (const row& each : rows) {
        for (std::size_t column = 0; column < each.size(); ++column) {
            text += (column == 0 ? "" : "\t") + each[column];
        }
        text += '\n';
    }
    return text;
}

/// "exclusive", "shared", "1 permit", "3 permits".
std::string describe_share(const resource_status& resource, const claim_status& claim) {
    if (resource.capacity == lock_capacity) {
        return mode_of(claim);
    }
    return std::to_string(claim.weight) + (claim.weight == 1 ? " permit" : " permits");
}

int state_rank(const resource_status& resource) {
    int rank = 2;
    for (const claim_status& claim : resource.claims) {
        const claim_state state = state_of(claim);
        rank = std::min(rank, state == claim_state::stale ? 0 : state == claim_state::foreign ? 1 : 2);
    }
    return rank;
}

std::chrono::system_clock::time_point oldest(const resource_status& resource) {
    auto since = std::chrono::system_clock::time_point::max();
    for (const claim_status& claim : resource.claims) {
        since = std::min(since, claim.since.value_or(since));
    }
    return since;
}

} // namespace

std::string describe_kind(const resource_status& resource) {
    if (resource.capacity == lock_capacity) {
        return "lock";
    }
    std::uint64_t taken = 0;
    for (const claim_status& claim : resource.claims) {
        taken += claim.holds ? claim.weight : 0;
    }
    return "permits " + std::to_string(taken) + "/" + std::to_string(resource.capacity);
}

std::string describe_who(const claim_status& claim) {
    if (!claim.who && claim.proposal) {
        return "candidate " + printable(*claim.proposal); // A campaign says no more on some engines.
    }
    if (!claim.who) {
        return claim.id.empty() ? "somebody" : printable(shortened(claim.id, 40));
    }
    const holder_info& who = *claim.who;
    std::string text = who.user.empty() ? "" : printable(who.user) + "@";
    text += printable(who.host);
    if (who.pid != 0) {
        text += ":" + std::to_string(who.pid);
    }
    if (!who.command.empty()) {
        text += (text.empty() ? "" : " ") + printable(who.command);
    }
    if (!who.why.empty()) {
        text += " (" + printable(who.why) + ")";
    }
    return text;
}

void sort_resources(std::vector<resource_status>& resources, ls_order order) {
    std::sort(resources.begin(), resources.end(),
              [](const resource_status& a, const resource_status& b) { return a.name < b.name; });
    if (order == ls_order::state) {
        std::stable_sort(
            resources.begin(), resources.end(),
            [](const resource_status& a, const resource_status& b) { return state_rank(a) < state_rank(b); });
    } else if (order == ls_order::since) {
        std::stable_sort(
            resources.begin(), resources.end(),
            [](const resource_status& a, const resource_status& b) { return oldest(a) < oldest(b); });
    }
}

std::string render_table(const std::vector<resource_status>& resources,
                         std::chrono::system_clock::time_point now, const table_style& style) {
    std::vector<row> rows;
    for (const resource_status& resource : resources) {
        bool first = true;
        for (const claim_status& claim : resource.claims) {
            if (claim.holds) {
                rows.push_back(make_row(resource, &claim, now, first));
                first = false;
            }
        }
        if (first) {
            rows.push_back(make_row(resource, nullptr, now, true));
        }
    }
    return render_rows(std::move(rows), {"NAME", "KIND", "STATE", "WHO", "SINCE", "TOKEN", "TTL", "WAITERS"},
                       style);
}

std::string render_line(const resource_status& resource, std::chrono::system_clock::time_point now,
                        const table_style& style) {
    const bool has_proposals =
        std::any_of(resource.claims.begin(), resource.claims.end(),
                    [](const claim_status& claim) { return claim.proposal.has_value(); });
    row header{"PLACE", "CLAIM", "MODE", "STATE", "WHO", "SINCE", "TOKEN", "TTL"};
    if (has_proposals) {
        header.push_back("PROPOSAL");
    }
    std::vector<row> rows;
    for (const claim_status& claim : resource.claims) {
        row fields{std::to_string(rows.size() + 1), claim.holds ? "holds" : "waits",
                   describe_share(resource, claim)};
        append_claim(fields, &claim, now);
        if (has_proposals) {
            fields.push_back(claim.proposal ? printable(*claim.proposal) : unknown);
        }
        rows.push_back(std::move(fields));
    }
    const std::size_t waiting = count_waiters(resource);
    std::string text;
    if (style.aligned) {
        text = printable(resource.name) + ": " + describe_kind(resource) + ", " +
               std::to_string(resource.claims.size() - waiting) + " holding, " + std::to_string(waiting) +
               " waiting\n";
    }
    return text + render_rows(std::move(rows), header, style);
}

} // namespace holdfast::cli
