#include "joining.hpp"

#include "core/line.hpp"

#include "pools.hpp"

namespace holdfast::local {

bool joining::apply(line& now) {
    came_to = decide(now);
    return came_to == verdict::joined;
}

joining::verdict joining::decide(line& now) {
    if (!from_.alive()) {
        return verdict::expired;
    }
    if (now.counter > max_sequence) {
        return verdict::worn_out;
    }
    const core::place newcomer{.weight = weight_, .capacity = capacity_, .foreign = false};
    const bool was_empty = now.claims.empty();
    if (was_empty) {
        now.capacity = capacity_;
    } else if (!core::may_join({now.claims.front().weight, now.capacity, false}, newcomer)) {
        others_capacity = now.capacity;
        return verdict::misfit;
    } else if (now.claims.size() >= max_line) {
        return verdict::line_full;
    }
    // A sole exclusive holder is told by the word alone. Everybody else gets a cell, unless he needs none.
    const bool sole = was_empty && capacity_ == lock_capacity && weight_ == lock_capacity;
    now.claims.push_back({.sequence = now.counter, .slot = from_.slot_index(), .cell = 0, .weight = weight_});
    now.grant();
    holds = now.claims.back().holds;
    if (only_if_free_ && !holds) {
        now.claims.pop_back();
        return verdict::busy;
    }
    if (!sole && !(holds && goes_without_cell)) {
        if (cell == 0) {
            cell = take_cell(from_.memory(), from_.owner());
        }
        if (cell == 0) {
            now.claims.pop_back();
            return verdict::no_cell;
        }
        if (driven_) { // Before anybody can poke it: while it waits there is no need to ring for our own
                       // thread.
            word32& futex = from_.memory().data().cells[cell].futex;
            if (holds) {
                futex.fetch_or(cell::unattended);
            } else {
                futex.fetch_and(~cell::unattended);
            }
        }
        now.claims.back().cell = cell;
    }
    sequence = now.counter;
    return verdict::joined;
}

} // namespace holdfast::local
