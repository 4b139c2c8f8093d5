// elect --observe: who leads.
#include <array>
#include <cerrno>
#include <cstdint>
#include <poll.h>
#include <stop_token>
#include <sys/eventfd.h>
#include <system_error>
#include <thread>
#include <unistd.h>

#include <holdfast/election.hpp>

#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"
#include "cli/unique_fd.hpp"

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

/// Notices that nobody can read what we print any more: without news we would never find out.
class reader_watch {
  public:
    reader_watch() : over_(::eventfd(0, EFD_CLOEXEC)) {
        if (!over_) {
            throw std::system_error(errno, std::generic_category(), "cannot make an event descriptor");
        }
        watching_ = std::thread([this] {
            std::array<pollfd, 2> sources{{{STDOUT_FILENO, 0, 0}, {over_.get(), POLLIN, 0}}};
            while (::poll(sources.data(), sources.size(), -1) < 0 && errno == EINTR) {
            }
            if (sources[0].revents != 0) {
                gone_.request_stop();
            }
        });
    }
    ~reader_watch() {
        const std::uint64_t one = 1;
        const ssize_t ignored = ::write(over_.get(), &one, sizeof one);
        (void)ignored;
        watching_.join();
    }
    reader_watch(const reader_watch&) = delete;
    reader_watch& operator=(const reader_watch&) = delete;
    std::stop_token gone() const { return gone_.get_token(); }

  private:
    unique_fd over_;
    std::stop_source gone_;
    std::thread watching_;
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
    const reader_watch reader;
    try {
        while (!reader.gone().stop_requested()) {
            const result<void> ended = watched.observe(tell, reader.gone());
            if (ended) {
                break;
            }
            if (!(told_before && may_pass(ended.error().code()))) {
                return failed(ended.error());
            }
            say(ended.error().message());
            std::this_thread::sleep_for(std::chrono::seconds(1));
        }
        return exit_code::ok;
    } catch (const cannot_print& why) {
        return why.exit_code;
    }
}

} // namespace holdfast::cli
