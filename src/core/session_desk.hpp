// Where a client's operations get their session: the one in use, or a new one, opened by whoever finds none
// while the others wait for it; for those who cannot wait, by a thread. Thread-safe.
//
// It outlives its client for as long as a session is being opened that nobody wants any more: so whoever
// drops the client need not wait for a store that does not answer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "annotations.hpp"
#include "quiet_thread.hpp"
#include "session.hpp"

namespace holdfast::core {

class session_desk : public std::enable_shared_from_this<session_desk> {
  public:
    using outcome = result<std::shared_ptr<session>>;
    using taker = std::function<void(outcome)>;

    session_desk(session_terms terms, std::string shown_url)
        : terms_(std::move(terms)), shown_url_(std::move(shown_url)) {}

    /// The session in use; opens one when there is none or it was lost.
    outcome current(instant give_up);
    /// The session in use, or null.
    std::shared_ptr<session> present();
    /// The same for who cannot wait: `then` is called once, on any thread, perhaps before this returns.
    void in_background(instant give_up, taker then);
    /// Ends the session in use. Waits for what is being opened at most release_timeout; later it is ended by
    /// itself.
    void close() noexcept;

  private:
    /// One thread that opens, and how it says that it is over. The thread has a reference of its own.
    struct opener {
        quiet_thread thread;
        std::atomic<bool> over{false};
        parking_place place;
    };
    void open_for_takers(instant give_up);
    instant now() const noexcept { return holdfast::now(terms_.traits.clock); }

    const session_terms terms_;
    const std::string shown_url_;

    latch guard_;
    std::shared_ptr<session> session_ GUARDED_BY(guard_);
    bool closed_ GUARDED_BY(guard_) = false;
    bool opening_ GUARDED_BY(guard_) = false;
    std::vector<parking_place*> waiting_ GUARDED_BY(guard_);
    std::vector<taker> takers_ GUARDED_BY(guard_);
    bool opening_for_takers_ GUARDED_BY(guard_) = false;
    std::shared_ptr<opener> opener_ GUARDED_BY(guard_);
};

} // namespace holdfast::core
