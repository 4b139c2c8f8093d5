// What a waiter looks at and what it sleeps on.
//
// A waiter sleeps on its own cell, which is poked when it may hold, and on the life words of *all* sessions
// that stand ahead of it when it looks. That set only shrinks (newcomers stand behind), so it covers every
// way in which the waiter can come to hold without being poked: whoever ahead, or whoever removed somebody
// ahead, died or stopped between the swap and the poke. A session that expires is covered by the time limit
// of the sleep. The kernel wakes one watcher of a life word; that one wakes the others
// (pass_on_deaths), unless it is killed before: then they wake by themselves within a second.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "futex.hpp"
#include "line.hpp"
#include "seat.hpp"

namespace holdfast::local {

struct look {
    enum class outcome { waits, holds, gone, corrupt };
    outcome what = outcome::waits;
    instant until = instant::max(); ///< waits: when to look again, whatever happens.
    bool may_be_soon = false;       ///< waits: next in line, and there are processors for all who wait.
};

/// To be called with what was slept on after every sleep, before the list is given up. The kernel wakes only
/// one of those who sleep on a dying session's word, and that one may have no use for the news any more: the
/// session has left its line meanwhile. Whoever it was, all the others are woken here.
void pass_on_deaths(const segment& in, std::span<const futex_watch> watches) noexcept;

/// Reads the line until nobody ahead of this claim is dead or expired. Where it stands, or would; seen.what
/// says so if there is no line any more (gone: our own session; corrupt). no_space: somebody ahead does not
/// count any more, and there is no block to rewrite the line with.
std::size_t settle_line(const seat& from, std::uint32_t record, std::uint64_t sequence, bool may_expire,
                        line& now, look& seen, bool& no_space);

/// Looks where a claim of the seat stands; repairs the line when somebody ahead does not count any more.
/// waits: appends what to sleep on beside the own cell, at most `room`.
look look_at_line(const seat& from, std::uint32_t record, std::uint64_t sequence, bool may_expire,
                  std::vector<futex_watch>& watches, std::size_t room);

/// What else may end a wait.
class wait_limit {
  public:
    virtual ~wait_limit() = default;
    virtual bool reached() const noexcept = 0;
};

/// Waits on this thread until the claim holds or is gone. waits: the limit was reached before, or the instant
/// has passed. `seen` is what the cell said before the last look: a poke since then is still to be heeded.
/// The cell is marked as driven by the caller. `written_next`: what he will write to as soon as he is back.
look::outcome wait_in_line(const seat& from, std::uint32_t record, std::uint64_t sequence, word32& cell_futex,
                           instant until, const wait_limit* limit, std::uint32_t& seen,
                           std::array<const void*, 2> written_next = {});

/// How often the cell was poked, without what it says besides.
constexpr std::uint32_t pokes_of(std::uint32_t futex) noexcept {
    return futex & ~(cell::asleep | cell::unattended);
}

} // namespace holdfast::local
