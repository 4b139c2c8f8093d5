// watch: what happens to one name, or to all, as it happens.
#include <poll.h>
#include <unistd.h>

#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"
#include "cli/watch_changes.hpp"

namespace holdfast::cli {
namespace {

using lines = std::vector<resource_status>;

result<lines> look(const locks& store, const std::string& name) {
    if (name.empty()) {
        result<lines> all = store.list();
        if (all) {
            sort_resources(*all, ls_order::name);
        }
        return all;
    }
    result<resource_status> one = store.show(name);
    if (!one) {
        return one.error();
    }
    return lines{std::move(*one)};
}

/// "16:30:01  nightly  holds  ann@db1:42 ./job.sh (token 7)"
std::string for_people(const line_change& change, const table_style& style) {
    const std::string event = change.event;
    const char* color = event == "holds"   ? "\033[32m"
                        : event == "stale" ? "\033[31m"
                        : event == "waits" ? "\033[33m"
                                           : "";
    const std::string separator = style.aligned ? "  " : "\t";
    std::string text = clock_time() + separator + printable(change.resource->name) + separator;
    text += style.colors && color[0] != '\0' ? color + event + "\033[0m" : event;
    text += separator;
    if (change.claim == nullptr) {
        return text + describe_kind(*change.resource) + "\n";
    }
    text += describe_who(*change.claim);
    if (change.claim->token != 0) {
        text += separator + "token " + std::to_string(change.claim->token);
    }
    if (change.claim->proposal) {
        text += separator + "proposal " + in_quotes(*change.claim->proposal);
    }
    return text + "\n";
}

/// False as soon as nobody can read what we print any more: without news we would never find out.
bool sleep_while_read(std::chrono::nanoseconds duration) {
    pollfd reader{STDOUT_FILENO, 0, 0};
    const timespec time{.tv_sec = duration.count() / 1'000'000'000,
                        .tv_nsec = duration.count() % 1'000'000'000};
    return ::ppoll(&reader, 1, &time, nullptr) <= 0;
}

} // namespace

int watch_command(const command_line& line, const settings& chosen) {
    const result<locks> store = try_connect(chosen.url, chosen.how);
    if (!store) {
        return failed(store.error());
    }
    const table_style style = style_for(line.global);
    lines before;
    bool reachable = true;
    for (bool first = true;; first = false) {
        result<lines> after = look(*store, line.admin.name);
        if (after) {
            std::string text;
            for (const line_change& change : changes_between(before, *after)) {
                if (!line.ls.stale_only || (change.claim != nullptr && change.claim->stale)) {
                    text += line.global.json ? change_json(change, std::chrono::system_clock::now())
                                             : for_people(change, style);
                }
            }
            if (const int printed = text.empty() ? exit_code::ok : print(text); printed != exit_code::ok) {
                return printed;
            }
            if (!reachable && !line.global.quiet) {
                say("the store answers again");
            }
            reachable = true;
            before = std::move(*after);
        } else if (first || after.error().code() == errc::misuse || after.error().code() == errc::config) {
            return failed(after.error()); // It cannot be listed at all; that will not pass.
        } else if (reachable) {
            reachable = false;
            say(after.error().message());
        }
        if (!sleep_while_read(line.admin.every)) {
            return exit_code::ok;
        }
    }
}

} // namespace holdfast::cli
