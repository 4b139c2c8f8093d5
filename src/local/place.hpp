// Notices that the segment is not in its place any more, because somebody has deleted, replaced, moved or cut
// it short: everybody who comes later makes another one, and what is held in ours excludes nobody.
//
// The kernel tells (inotify); nobody sleeps in it but the thread of the session that watches its deadline
// anyway, and nothing that Holdfast does itself wakes that one. Where no inotify instance is left, or a
// folder further up is moved, the next renewal finds it.
#pragma once

#include <memory>

#include <holdfast/store.hpp>

#include "seat.hpp"

namespace holdfast::local {

class place_hints final : public session_hints {
  public:
    /// Null where the system has none left.
    static std::unique_ptr<place_hints> make(std::shared_ptr<seat> of);
    ~place_hints() override;
    place_hints(const place_hints&) = delete;
    place_hints& operator=(const place_hints&) = delete;

    int fd() const noexcept override { return fd_; }
    bool heed() noexcept override;

  private:
    place_hints(std::shared_ptr<seat> of, int inotify) noexcept : seat_(std::move(of)), fd_(inotify) {}

    const std::shared_ptr<seat> seat_;
    const int fd_;
};

/// Whether the segment is not in its place any more. Then it ends every session in it, also those of other
/// processes, if the file itself says that it is over for all of them; and whatever waits looks up.
bool give_up_if_gone(engine& on) noexcept;

/// For tests: behave as if the user had no inotify instance left.
void pretend_no_inotify(bool pretend) noexcept;

} // namespace holdfast::local
