#include "client.hpp"

#include <algorithm>
#include <cstdio>
#include <new>
#include <optional>
#include <vector>

#include "factory.hpp"
#include "fork.hpp"
#include "identity.hpp"
#include "small_file.hpp"

namespace holdfast::core {

using std::chrono::nanoseconds;

namespace {

constexpr std::size_t names_at_least = 4096;

/// Longer counts as so long: what is added up of instants and time-outs stays far from overflow.
constexpr nanoseconds longest_timeout = std::chrono::hours(24 * 366);

options bounded(options how) {
    how.op_timeout = std::min(how.op_timeout, longest_timeout);
    how.release_timeout = std::min(how.release_timeout, longest_timeout);
    return how;
}

void keep_until_exit(std::shared_ptr<store> engine) {
    static latch guard;
    // Never destroyed; but reachable, so that nobody takes it for a leak.
    static auto* const kept = new std::vector<std::shared_ptr<store>>;
    const latch_guard locked(guard);
    kept->push_back(std::move(engine));
}

std::string seconds_text(nanoseconds value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%g s", std::chrono::duration<double>(value).count());
    return text.data();
}

result<std::string> read_password(const std::string& path) {
    constexpr std::size_t longest = 4096;
    std::optional<std::string> read = read_small_file(path.c_str(), longest + 1);
    if (!read) {
        return error(errc::config, "the password file '" + path + "' cannot be read");
    }
    std::string password = std::move(*read);
    if (password.size() > longest) {
        return error(errc::config, "the password file '" + path + "' is longer than " +
                                       std::to_string(longest) + " bytes; it is to hold the password alone");
    }
    if (password.ends_with('\n')) {
        password.pop_back();
    }
    return password;
}

result<void> check_options(const options& how, const store_traits& traits) {
    if (how.ttl != until_death && (how.ttl < traits.min_ttl || how.ttl > traits.max_ttl)) {
        return error(errc::config, "a TTL of " + seconds_text(how.ttl) + " is not possible on " +
                                       traits.engine + "; give it " + seconds_text(traits.min_ttl) + " to " +
                                       seconds_text(traits.max_ttl));
    }
    if (traits.gives < how.require) {
        return error(errc::level_not_met, "the level '" + std::string(to_string(how.require)) +
                                              "' is required, but this " + traits.engine + " gives only '" +
                                              std::string(to_string(traits.gives)) + "': " + traits.why);
    }
    return {};
}

} // namespace

result<std::shared_ptr<client>> client::connect(std::string_view url, const options& asked) {
    const options how = bounded(asked);
    auto parsed = parse_url(url);
    if (!parsed) {
        return parsed.error();
    }
    if (!how.password_file.empty()) {
        auto password = read_password(how.password_file);
        if (!password) {
            return password.error();
        }
        parsed->password = *password;
    }
    const std::string shown = parsed->redacted;
    try {
        auto engine = make_store({.url = std::move(*parsed),
                                  .op_timeout = how.op_timeout,
                                  .release_timeout = how.release_timeout,
                                  .ttl = how.ttl,
                                  .ca_file = how.ca_file,
                                  .cert_file = how.cert_file,
                                  .key_file = how.key_file,
                                  .threads_later = how.threads_later,
                                  .catch_sigbus = how.catch_sigbus});
        if (!engine) {
            return engine.error();
        }
        return adopt(std::move(*engine), shown, how);
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception& why) { // Of the libraries below, when there are no descriptors or threads.
        return error(errc::unavailable, "connecting to " + shown + " failed: " + why.what());
    }
}

result<std::shared_ptr<client>> client::adopt(std::unique_ptr<store> engine, std::string shown_url,
                                              const options& asked) {
    const options how = bounded(asked);
    if (how.op_timeout <= nanoseconds::zero() || how.release_timeout <= nanoseconds::zero()) {
        return error(errc::config, "op_timeout and release_timeout must be positive");
    }
    if (how.ttl == until_death && !engine->traits().until_death) {
        return error(
            errc::config,
            "a TTL of until_death is not possible on " + engine->traits().engine +
                ", which notices that a holder has died by its lease alone; give it a TTL, or use local:");
    }
    const auto reached = engine->check(holdfast::now(engine->traits().clock) + how.op_timeout);
    if (!reached) {
        return reached.error();
    }
    session_terms terms{.engine = std::move(engine),
                        .notices = std::make_shared<notifier>(),
                        .callbacks = {},
                        .events = {},
                        .audience = {},
                        .traits = {},
                        .ttl = how.ttl,
                        .op_timeout = how.op_timeout,
                        .release_timeout = how.release_timeout,
                        .threads_later = how.threads_later,
                        .store_until_exit = how.store_until_exit,
                        .who = describe_process(how.command, how.why)};
    terms.traits = terms.engine->traits();
    terms.callbacks = std::make_shared<runner>(terms.traits.clock);
    if (const auto fits = check_options(how, terms.traits); !fits) {
        return fits.error();
    }
    std::shared_ptr<event_queue> audience;
    if (how.sink) {
        terms.events = std::make_shared<event_queue>(how.sink, shown_url);
        terms.audience = audience = event_queue::audience(terms.events);
    }
    return std::shared_ptr<client>(new client(std::move(terms), std::move(audience), std::move(shown_url)));
}

client::client(session_terms terms, std::shared_ptr<event_queue> audience, std::string shown_url)
    : audience_(std::move(audience)), terms_(std::move(terms)), shown_url_(std::move(shown_url)),
      mark_(process_mark()), desk_(std::make_shared<session_desk>(terms_, shown_url_)) {}

client::~client() {
    if (forked()) {
        // The connection and its threads belong to the parent: what the child inherited of them is left
        // alone.
        static_cast<void>(new std::shared_ptr<store>(terms_.engine));
        static_cast<void>(new std::shared_ptr<notifier>(terms_.notices));
        static_cast<void>(new std::shared_ptr<runner>(terms_.callbacks));
        static_cast<void>(new std::shared_ptr<session_desk>(desk_));
        return;
    }
    desk_->close();
    if (terms_.store_until_exit) {
        keep_until_exit(terms_.engine);
    }
}

bool client::forked() const noexcept {
    return forked_since(mark_);
}

error client::inherited() {
    return {errc::misuse, "this locks object was inherited by a forked child; connect again in the child"};
}

std::shared_ptr<name_record> client::record_of(const resource_name& name) {
    if (forked()) {
        return std::make_shared<name_record>(); // A thread of the parent's may have held the latch.
    }
    const latch_guard locked(guard_);
    std::shared_ptr<name_record>& record = names_[name.bytes()];
    if (record) {
        return record;
    }
    if (const auto older = older_names_.extract(name.bytes())) {
        record = older.mapped();
    } else {
        record = std::make_shared<name_record>();
    }
    auto found = record;
    if (names_.size() >= names_at_least) {
        // What nobody has, and nobody has asked for in two rounds, is forgotten.
        for (auto& [old, kept] : older_names_) {
            if (kept.use_count() > 1) {
                names_.emplace(old, std::move(kept));
            }
        }
        older_names_ = std::exchange(names_, {});
    }
    return found;
}

std::size_t client::names_known() {
    const latch_guard locked(guard_);
    return names_.size() + older_names_.size();
}

} // namespace holdfast::core
