// The JSON of the command; docs/json.md documents it. Pure functions.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <holdfast/admin.hpp>
#include <holdfast/election.hpp>

#include "cli/watch_changes.hpp"

namespace holdfast::cli {

/// What `ls --json` prints, with a newline at its end.
std::string list_json(const std::string& url, const store_traits& traits,
                      const std::vector<resource_status>& resources);

/// What `show --json` prints.
std::string show_json(const std::string& url, const store_traits& traits, const resource_status& resource);

/// One line of `watch --json`.
std::string change_json(const line_change& change, std::chrono::system_clock::time_point at);

/// One line of `elect --observe --json`; nobody leads without a leader.
std::string leader_json(const std::string& name, const std::optional<leader>& leads,
                        std::chrono::system_clock::time_point at);

std::string break_json(const std::string& url, const std::string& name, std::size_t broken);
std::string resize_json(const std::string& url, const std::string& name, std::uint32_t permits, bool resized);

/// What `doctor` found. url and traits are empty when the store could not be reached.
struct doctor_report {
    std::string url;
    store_traits traits;
    std::vector<finding> findings;
};
std::string doctor_json(const doctor_report& report);

/// What `version --json` prints.
std::string version_json(const std::string& version, const std::vector<std::string>& stores);

} // namespace holdfast::cli
