#include "checks.hpp"

namespace holdfast::bench {

check check_collisions(const crew& ours) {
    return check_figure("no two inside at once", bound::at_most, 0, ours.collisions(), "times");
}

check check_waits(const entrant& of) {
    const slice all = of.sum();
    check made = check_figure(of.name + ": turns/s; waits p50, p99", bound::none, 0, all.rate(), "/s");
    made.figure += "; " + shown(all.waits.percentile(0.5) / 1e6) + ", " +
                   shown(all.waits.percentile(0.99) / 1e6) + " ms";
    return made;
}

} // namespace holdfast::bench
