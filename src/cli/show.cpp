// show, break and resize: one name.
#include <algorithm>
#include <unistd.h>

#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {
namespace {

void say_free(const command_line& line, const locks& store) {
    if (!line.global.quiet) {
        say(in_quotes(line.admin.name) + " is free: nobody holds it or waits for it in " + store.url());
    }
}

bool is_hold(const claim_status& claim, std::optional<std::uint64_t> only) {
    return claim.holds && (!only || claim.token == *only);
}

/// What is typed before Enter or the end of the input. Not std::cin: its mere presence would cost `run` a
/// part of its start.
std::string typed_line() {
    std::string text;
    char each = 0;
    while (text.size() <= resource_name::max_bytes && ::read(STDIN_FILENO, &each, 1) == 1 && each != '\n') {
        text += each;
    }
    return text;
}

/// Shows what would be taken away, and has the name typed.
bool confirmed(const command_line& line, const resource_status& now) {
    if (line.admin.yes) {
        return true;
    }
    if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDERR_FILENO) != 1) {
        throw usage_error("break asks before it takes a hold away, and there is no terminal; add --yes");
    }
    for (const claim_status& claim : now.claims) {
        if (is_hold(claim, line.admin.if_token)) {
            say("held by " + describe_who(claim));
        }
    }
    say("the next holder may start before these have stopped. Type the name to take it from them:");
    if (typed_line() == line.admin.name) {
        return true;
    }
    say("nothing was done");
    return false;
}

} // namespace

int show_command(const command_line& line, const settings& chosen) {
    const result<locks> store = try_connect(chosen.url, chosen.how);
    if (!store) {
        return failed(store.error());
    }
    result<resource_status> resource = store->show(line.admin.name);
    if (!resource) {
        return failed(resource.error());
    }
    const bool is_free = resource->claims.empty();
    if (line.ls.stale_only) {
        std::erase_if(resource->claims, [](const claim_status& claim) { return !claim.stale; });
    }
    if (line.global.json) {
        return print(show_json(store->url(), store->traits(), *resource));
    }
    if (resource->claims.empty()) {
        if (is_free) {
            say_free(line, *store);
        } else if (!line.global.quiet) {
            say("nothing of " + in_quotes(line.admin.name) + " is stale");
        }
        return exit_code::ok;
    }
    return print(render_line(*resource, std::chrono::system_clock::now(), style_for(line.global)));
}

int break_command(const command_line& line, const settings& chosen) {
    const result<locks> store = try_connect(chosen.url, chosen.how);
    if (!store) {
        return failed(store.error());
    }
    const std::string name = in_quotes(line.admin.name);
    const result<resource_status> before = store->show(line.admin.name);
    if (!before) {
        return failed(before.error());
    }
    const bool held =
        std::any_of(before->claims.begin(), before->claims.end(),
                    [&line](const claim_status& claim) { return is_hold(claim, line.admin.if_token); });
    std::size_t broken = 0;
    if (held) {
        if (!confirmed(line, *before)) {
            return exit_code::not_acquired;
        }
        std::optional<token> only;
        if (line.admin.if_token) {
            only = token(*line.admin.if_token);
        }
        const result<std::size_t> outcome = store->break_holds(line.admin.name, only);
        if (!outcome) {
            return failed(outcome.error());
        }
        broken = *outcome;
    }
    if (line.global.json) {
        return print(break_json(store->url(), line.admin.name, broken));
    }
    if (line.global.quiet) {
        return exit_code::ok;
    }
    if (broken > 0) {
        say("took " + std::to_string(broken) + (broken == 1 ? " hold of " : " holds of ") + name + " away");
    } else if (before->claims.empty()) {
        say_free(line, *store);
    } else if (line.admin.if_token) {
        say("no hold of " + name + " has the token " + std::to_string(*line.admin.if_token) +
            "; nothing was done");
    } else {
        say("nobody holds " + name + " any more; nothing was done");
    }
    return exit_code::ok;
}

int resize_command(const command_line& line, const settings& chosen) {
    const result<locks> store = try_connect(chosen.url, chosen.how);
    if (!store) {
        return failed(store.error());
    }
    const result<resource_status> before = store->show(line.admin.name);
    if (!before) {
        return failed(before.error());
    }
    const bool is_free = before->claims.empty();
    if (!is_free) {
        const result<void> resized = store->resize(line.admin.name, line.admin.permits);
        if (!resized) {
            return failed(resized.error());
        }
    }
    if (line.global.json) {
        return print(resize_json(store->url(), line.admin.name, line.admin.permits, !is_free));
    }
    if (is_free) {
        say_free(line, *store);
        if (!line.global.quiet) {
            say("there is nothing to resize: whoever comes first says how many permits there are");
        }
    } else if (!line.global.quiet) {
        say(in_quotes(line.admin.name) + " has " + std::to_string(line.admin.permits) +
            " permits now; ask for so many from now on");
    }
    return exit_code::ok;
}

} // namespace holdfast::cli
