// The table of `ls` for people. Pure functions; everything they return is safe for a terminal.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <holdfast/admin.hpp>

#include "cli/options.hpp"

namespace holdfast::cli {

/// "lock", or "permits 2/5".
std::string describe_kind(const resource_status& resource);

/// "user@host:pid command (why)", as far as known.
std::string describe_who(const claim_status& claim);

/// Sorts in place; names are compared as bytes, stale before foreign before live, the longest holder first.
void sort_resources(std::vector<resource_status>& resources, ls_order order);

struct table_style {
    bool colors = false;
    bool aligned = true; ///< false: fields between tabs, no header.
};

/// The whole line of one name: a sentence about it, then one row a claim, in order. Not aligned: rows only.
std::string render_line(const resource_status& resource, std::chrono::system_clock::time_point now,
                        const table_style& style);

/// One row a holder; a name that nobody holds yet has one row too.
std::string render_table(const std::vector<resource_status>& resources,
                         std::chrono::system_clock::time_point now, const table_style& style);

} // namespace holdfast::cli
