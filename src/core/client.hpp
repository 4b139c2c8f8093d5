// What stands behind a `locks` object: one store, its options, and the session in use. Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include <holdfast/holdfast.hpp>
#include <holdfast/store.hpp>

#include "annotations.hpp"
#include "session_desk.hpp"

namespace holdfast::core {

/// What all faces of one name share within a process.
struct name_record {
    /// The highest token ever granted here: a grant that is not above it comes from a store that went back in
    /// time.
    std::atomic<std::uint64_t> highest_token{0};

    /// Raises the mark.
    void note(std::uint64_t granted) noexcept {
        std::uint64_t seen = highest_token.load();
        while (seen < granted && !highest_token.compare_exchange_weak(seen, granted)) {
        }
    }
};

class client {
  public:
    /// Parses the URL, reaches the store, and checks TTL and level. See holdfast::connect.
    static result<std::shared_ptr<client>> connect(std::string_view url, const options& asked);
    /// The same on a store that is already there; for tests.
    static result<std::shared_ptr<client>> adopt(std::unique_ptr<store> engine, std::string shown_url,
                                                 const options& asked);
    ~client();
    client(const client&) = delete;
    client& operator=(const client&) = delete;

    /// The session in use; opens one when there is none or it was lost. One caller opens, the others wait for
    /// it.
    result<std::shared_ptr<session>> current_session(instant give_up) {
        return forked() ? inherited() : desk_->current(give_up);
    }

    /// The session in use, or null.
    std::shared_ptr<session> present_session() { return desk_->present(); }
    /// The same for who cannot wait: `then` is called once, on any thread, perhaps before this returns.
    void session_in_background(instant give_up, session_desk::taker then) {
        desk_->in_background(give_up, std::move(then));
    }

    /// The same object for as long as anybody has it, and at least until 4,096 other names have been asked
    /// for.
    std::shared_ptr<name_record> record_of(const resource_name& name);
    std::size_t names_known();
    store& engine() noexcept { return *terms_.engine; }
    const session_terms& terms() const noexcept { return terms_; }
    const std::string& shown_url() const noexcept { return shown_url_; }
    instant now() const noexcept { return holdfast::now(terms_.traits.clock); }
    bool forked() const noexcept;
    /// What every operation in a forked child comes to.
    static error inherited();

  private:
    client(session_terms terms, std::shared_ptr<event_queue> audience, std::string shown_url);

    const std::shared_ptr<event_queue> audience_; ///< First: everything else tells it of its end.
    const session_terms terms_;
    const std::string shown_url_;
    const std::uint64_t mark_;

    const std::shared_ptr<session_desk> desk_;

    latch guard_;
    /// Names that were asked for since the last purge, and those from before.
    using records = std::unordered_map<std::string, std::shared_ptr<name_record>>;
    records names_ GUARDED_BY(guard_);
    records older_names_ GUARDED_BY(guard_);
};

} // namespace holdfast::core
