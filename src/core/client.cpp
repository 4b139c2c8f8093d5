#include "client.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "factory.hpp"
#include "fork.hpp"
#include "identity.hpp"
#include "quiet_thread.hpp"

namespace holdfast::core {

using std::chrono::nanoseconds;

namespace {

std::string seconds_text(nanoseconds value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%g s", std::chrono::duration<double>(value).count());
    return text.data();
}

result<std::string> read_password(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        return error(errc::config, "the password file '" + path + "' cannot be read");
    }
    std::string password((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (password.ends_with('\n')) {
        password.pop_back();
    }
    return password;
}

result<void> check_options(const options& how, const store_traits& traits) {
    if (how.ttl < traits.min_ttl || how.ttl > traits.max_ttl) {
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

/// Whoever opens must come back with an answer, because others wait for it.
result<std::shared_ptr<session>> open_session(const session_terms& terms, instant give_up) {
    try {
        return session::open(terms, give_up);
    } catch (const std::system_error& failure) {
        return error(errc::unavailable, std::string("opening a session: ") + failure.what());
    }
}

} // namespace

result<std::shared_ptr<client>> client::connect(std::string_view url, const options& how) {
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
    auto engine = make_store({.url = std::move(*parsed),
                              .op_timeout = how.op_timeout,
                              .ttl = how.ttl,
                              .ca_file = how.ca_file,
                              .cert_file = how.cert_file,
                              .key_file = how.key_file});
    if (!engine) {
        return engine.error();
    }
    return adopt(std::move(*engine), shown, how);
}

result<std::shared_ptr<client>> client::adopt(std::unique_ptr<store> engine, std::string shown_url,
                                              const options& how) {
    if (how.op_timeout <= nanoseconds::zero() || how.release_timeout <= nanoseconds::zero()) {
        return error(errc::config, "op_timeout and release_timeout must be positive");
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
      mark_(process_mark()) {}

client::~client() NO_THREAD_SAFETY_ANALYSIS {
    if (forked()) {
        // The connection and its threads belong to the parent: what the child inherited of them is left
        // alone.
        static_cast<void>(new std::shared_ptr<store>(terms_.engine));
        static_cast<void>(new std::shared_ptr<notifier>(terms_.notices));
        static_cast<void>(new std::shared_ptr<runner>(terms_.callbacks));
        static_cast<void>(new quiet_thread(std::move(opener_)));
        return;
    }
    if (opener_.joinable()) {
        if (opener_.runs_here()) {
            opener_.detach(); // The last taker went on it: it touches nothing of ours any more.
        } else {
            opener_.join();
        }
    }
}

bool client::forked() const noexcept {
    return forked_since(mark_);
}

error client::inherited() {
    return {errc::misuse, "this locks object was inherited by a forked child; connect again in the child"};
}

result<std::shared_ptr<session>> client::current_session(instant give_up) {
    if (forked()) {
        return inherited();
    }
    parking_place place;
    for (;;) {
        place.reset();
        {
            const latch_guard locked(guard_);
            std::erase(waiting_for_open_, &place);
            if (session_ && session_->alive()) {
                return session_;
            }
            if (!opening_) {
                opening_ = true;
                break;
            }
            if (now() >= give_up) {
                return error(errc::unavailable, shown_url_ + " did not open a session in time");
            }
            waiting_for_open_.push_back(&place);
        }
        place.wait_until(give_up, terms_.traits.clock);
    }
    // Others wait for this one, with limits of their own: never longer than one operation.
    auto opened = open_session(terms_, std::min(give_up, now() + terms_.op_timeout));
    std::shared_ptr<session> replaced; // Ended outside the lock: its destructor talks to the store.
    const latch_guard locked(guard_);
    opening_ = false;
    if (opened) {
        replaced = std::exchange(session_, *opened);
    }
    for (parking_place* other : waiting_for_open_) {
        other->notify();
    }
    waiting_for_open_.clear();
    return opened;
}

std::shared_ptr<session> client::present_session() {
    const latch_guard locked(guard_);
    return session_ && session_->alive() ? session_ : nullptr;
}

void client::session_in_background(instant give_up, session_taker then) {
    if (auto present = present_session()) {
        return then(std::move(present));
    }
    quiet_thread before; // Has served its takers, and is about to end.
    bool no_thread = false;
    {
        const latch_guard locked(guard_);
        takers_.push_back(std::move(then));
        if (std::exchange(opening_for_takers_, true)) {
            return;
        }
        try {
            before =
                std::exchange(opener_, quiet_thread::start([this, give_up] { open_for_takers(give_up); }));
        } catch (const std::system_error&) {
            no_thread = true;
        }
    }
    if (no_thread) {
        open_for_takers(now()); // Nobody waits here: they hear that it is unavailable.
    }
    if (before.joinable()) {
        before.join();
    }
}

void client::open_for_takers(instant give_up) {
    const auto opened = current_session(give_up);
    std::vector<session_taker> takers;
    {
        const latch_guard locked(guard_);
        takers.swap(takers_);
        opening_for_takers_ = false;
    }
    for (const auto& taker : takers) {
        taker(opened);
    }
}

std::shared_ptr<name_record> client::record_of(const resource_name& name) {
    if (forked()) {
        return std::make_shared<name_record>(); // A thread of the parent's may have held the latch.
    }
    const latch_guard locked(guard_);
    if (names_.size() >= purge_names_at_) {
        std::erase_if(names_, [](const auto& entry) { return entry.second.expired(); });
        purge_names_at_ = std::max<std::size_t>(64, 2 * names_.size());
    }
    std::weak_ptr<name_record>& kept = names_[name];
    auto record = kept.lock();
    if (!record) {
        record = std::make_shared<name_record>();
        kept = record;
    }
    return record;
}

} // namespace holdfast::core
