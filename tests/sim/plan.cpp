#include "plan.hpp"

namespace holdfast::sim {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

plan::plan(std::uint64_t of) : seed(of) {
    dice roll(of ^ 0x5bd1e9955bd1e995U);
    ttl = roll.one_of<nanoseconds, 3>({200ms, 1s, 5s});
    op_timeout = roll.between(ttl / 5, ttl * 3 / 2);
    release_timeout = roll.between(ttl / 10, ttl);
    engine_settings.lease_per_claim = roll.permille(500);
    engine_settings.tokens_restart = roll.permille(200);
    engine_settings.ttl_percent = roll.permille(250) ? static_cast<int>(roll.between(100, 200)) : 100;
    engine_settings.expiry_lag = roll.permille(500) ? nanoseconds(0) : roll.between(nanoseconds(0), ttl / 5);
    at_once = roll.permille(250) ? 300 : 0;
    // Each run has some kinds of faults only, and one in sixteen none at all: what one hides another shows.
    const bool fair = roll.permille(60);
    for (bool& each : enabled) {
        each = !fair && roll.permille(500);
    }
    const auto rate = [&](fault kind, int most) {
        return may(kind) ? static_cast<int>(roll.between(1, most)) : 0;
    };
    sky.lost = rate(fault::lost_request, 150);
    sky.late = rate(fault::late_request, 100);
    sky.repeated = rate(fault::repeated_request, 200);
    sky.slowest = roll.one_of<nanoseconds, 3>({300us, 2ms, 10ms});
    sky.latest = roll.between(op_timeout / 2, 2 * ttl);
    processes = static_cast<int>(roll.between(1, 3));
    clients = roll.permille(300) ? 2 : 1;
    actors = static_cast<int>(roll.between(1, 3));
    events = fair ? 0 : static_cast<int>(roll.between(0, 6));
    heals = roll.between(2 * ttl, 6 * ttl);
    listens = roll.permille(500);
    engine_settings.fast = !engine_settings.lease_per_claim && roll.permille(500);
    yields = roll.permille(500) ? static_cast<int>(roll.between(1, 400)) : 0;
}

nanoseconds plan::recovery() const noexcept {
    return granted_ttl() * 105 / 100 + engine_settings.expiry_lag + 2 * op_timeout + release_timeout +
           2 * ttl + sky.latest + 1s;
}

} // namespace holdfast::sim
