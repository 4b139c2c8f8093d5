// elect --observe: who leads.
#include <thread>

#include <holdfast/election.hpp>

#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {
namespace {

/// "16:30:01  db1:8080  ann@db1:42 ./scheduler  token 7"
std::string for_people(const std::optional<leader>& leads, const table_style& style) {
    const std::string separator = style.aligned ? "  " : "\t";
    if (!leads) {
        return clock_time() + separator + "nobody leads\n";
    }
    claim_status shown;
    shown.who = leads->who;
    std::string text = clock_time() + separator + printable(leads->proposal);
    text += leads->who ? separator + describe_who(shown) : "";
    text += leads->token.value() != 0 ? separator + "token " + std::to_string(leads->token.value()) : "";
    return text + "\n";
}

/// Thrown through observe() to end it.
struct cannot_print {
    int exit_code;
};

bool may_pass(errc code) {
    return code == errc::unavailable || code == errc::unknown_outcome;
}

} // namespace

int observe_command(const command_line& line, const settings& chosen) {
    const result<locks> store = try_connect(chosen.url, chosen.how);
    if (!store) {
        return failed(store.error());
    }
    const election watched = store->election(line.run.name);
    const table_style style = style_for(line.global);
    bool told_before = false;
    std::optional<leader> last;
    const auto tell = [&](const std::optional<leader>& leads) {
        if (told_before && leads == last) {
            return; // Asked anew after an outage, and nothing has changed.
        }
        told_before = true;
        last = leads;
        const int printed =
            print(line.global.json ? leader_json(line.run.name, leads, std::chrono::system_clock::now())
                                   : for_people(leads, style));
        if (printed != exit_code::ok) {
            throw cannot_print{printed};
        }
    };
    try {
        for (;;) {
            const result<void> ended = watched.observe(tell, {});
            if (!ended && !(told_before && may_pass(ended.error().code()))) {
                return failed(ended.error());
            }
            if (!ended) {
                say(ended.error().message());
            }
            std::this_thread::sleep_for(std::chrono::seconds(1));
        }
    } catch (const cannot_print& why) {
        return why.exit_code;
    }
}

} // namespace holdfast::cli
