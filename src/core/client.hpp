// What stands behind a `locks` object: one store, its options, and the session in use. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <holdfast/holdfast.hpp>
#include <holdfast/store.hpp>

#include "annotations.hpp"
#include "quiet_thread.hpp"
#include "session.hpp"

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
    static result<std::shared_ptr<client>> connect(std::string_view url, const options& how);
    /// The same on a store that is already there; for tests.
    static result<std::shared_ptr<client>> adopt(std::unique_ptr<store> engine, std::string shown_url,
                                                 const options& how);
    ~client();
    client(const client&) = delete;
    client& operator=(const client&) = delete;

    /// The session in use; opens one when there is none or it was lost. One caller opens, the others wait for
    /// it.
    result<std::shared_ptr<session>> current_session(instant give_up);

    /// The session in use, or null.
    std::shared_ptr<session> present_session();
    /// The same for who cannot wait: `then` is called once, on any thread, perhaps before this returns.
    void session_in_background(instant give_up, std::function<void(result<std::shared_ptr<session>>)> then);

    std::shared_ptr<name_record> record_of(const resource_name& name);
    store& engine() noexcept { return *terms_.engine; }
    const session_terms& terms() const noexcept { return terms_; }
    const std::string& shown_url() const noexcept { return shown_url_; }
    instant now() const noexcept { return holdfast::now(terms_.traits.clock); }
    bool forked() const noexcept;
    /// What every operation in a forked child comes to.
    static error inherited();

  private:
    using session_taker = std::function<void(result<std::shared_ptr<session>>)>;
    void open_for_takers(instant give_up);
    client(session_terms terms, std::shared_ptr<event_queue> audience, std::string shown_url);

    const std::shared_ptr<event_queue> audience_; ///< First: everything else tells it of its end.
    const session_terms terms_;
    const std::string shown_url_;
    const std::uint64_t mark_;

    latch guard_;
    std::shared_ptr<session> session_ GUARDED_BY(guard_);
    bool opening_ GUARDED_BY(guard_) = false;
    std::vector<parking_place*> waiting_for_open_ GUARDED_BY(guard_);
    std::vector<session_taker> takers_ GUARDED_BY(guard_);
    bool opening_for_takers_ GUARDED_BY(guard_) = false;
    quiet_thread opener_ GUARDED_BY(guard_);
    std::map<resource_name, std::weak_ptr<name_record>> names_ GUARDED_BY(guard_);
    std::size_t purge_names_at_ GUARDED_BY(guard_) = 64;
};

} // namespace holdfast::core
