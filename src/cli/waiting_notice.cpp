#include "cli/waiting_notice.hpp"

#include <utility>

#include "cli/duration.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {

waiting_notice::~waiting_notice() {
    if (asking_.joinable()) {
        asking_.join();
    }
}

std::optional<std::chrono::nanoseconds> waiting_notice::due_in() const {
    if (!wanted_) {
        return std::nullopt;
    }
    return due_ - clock::now();
}

void waiting_notice::show_if_due(const acquisition& attempt) {
    if (!wanted_ || over_ || clock::now() < due_) {
        return;
    }
    wanted_ = false;
    std::optional<locks> store = attempt.store();
    if (!store) {
        say("still connecting to the store");
        return;
    }
    asking_ = std::thread([this, store = std::move(*store)] {
        const result<resource_status> line = store.show(name_);
        if (!over_) {
            say(describe_holders(name_, line ? &*line : nullptr, std::chrono::system_clock::now()));
        }
    });
}

std::string describe_holders(const std::string& name, const resource_status* status,
                             std::chrono::system_clock::time_point now) {
    std::string text = "waiting for " + in_quotes(name);
    if (status == nullptr) {
        return text;
    }
    constexpr std::size_t most_shown = 3;
    std::size_t holders = 0;
    for (const claim_status& claim : status->claims) {
        if (!claim.holds || ++holders > most_shown) {
            continue;
        }
        text += (holders == 1 ? ", held by " : "; ") + describe_who(claim);
        if (claim.since) {
            text += " for " + format_duration(now - *claim.since);
        }
    }
    if (holders > most_shown) {
        text += "; and " + std::to_string(holders - most_shown) + " more";
    }
    const std::size_t waiters = status->claims.size() - holders;
    if (waiters > 1) {
        text += " (" + std::to_string(waiters) + " in line, with this one)";
    }
    return text;
}

} // namespace holdfast::cli
