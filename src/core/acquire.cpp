#include "acquire.hpp"

#include "turns.hpp"

namespace holdfast::core {

namespace {

/// Lends this thread to the store until the claim may have something new.
void wait_for_claim(acquisition& running) {
    hold& claim = running.claim();
    store_session& engine = running.engine();
    const std::stop_callback wake(running.heeds_stop() ? running.stop() : std::stop_token(),
                                  [&engine, &claim] {
                                      claim.place.notify();
                                      engine.interrupt(claim);
                                  });
    engine.drive(claim, running.until());
}

/// With a stop token nobody waits longer for a session than the token lets him.
void open_session(acquisition& running, client& in) {
    if (in.forked() || !running.stop().stop_possible()) {
        return running.give(in.current_session(running.give_up()));
    }
    if (auto present = in.present_session()) {
        return running.give(std::move(present));
    }
    struct answer {
        parking_place place;
        latch guard;
        std::optional<result<std::shared_ptr<session>>> opened GUARDED_BY(guard);
    };
    const auto awaited = std::make_shared<answer>();
    in.session_in_background(running.give_up(), [awaited](result<std::shared_ptr<session>> opened) {
        {
            const latch_guard locked(awaited->guard);
            awaited->opened = std::move(opened);
        }
        awaited->place.notify();
    });
    const std::stop_callback wake(running.stop(), [&awaited] { awaited->place.notify(); });
    while (!running.stop().stop_requested()) {
        awaited->place.reset();
        {
            const latch_guard locked(awaited->guard);
            if (awaited->opened) {
                return running.give(std::move(*awaited->opened));
            }
        }
        if (!running.stop().stop_requested()) {
            awaited->place.wait_until(running.give_up(), in.terms().traits.clock);
        }
        if (in.now() >= running.give_up()) {
            return running.give(error(errc::unavailable, in.shown_url() + " did not open a session in time"));
        }
    }
}

void pause(const acquisition& running, clock_source source) {
    parking_place place;
    const std::stop_callback wake(running.stop(), [&place] { place.notify(); });
    place.wait_until(running.until(), source);
}

} // namespace

result<void> check_weight(const resource& from, std::uint32_t weight) {
    if (weight == 0 || weight > from.capacity()) {
        return error(errc::misuse, "'" + from.name().bytes() + "' was asked for " + std::to_string(weight) +
                                       " permits, but it has " + std::to_string(from.capacity()) +
                                       "; ask for 1 to that many");
    }
    return {};
}

result<held> acquire(resource& from, std::uint32_t weight, const patience& how) {
    if (const auto fits = check_weight(from, weight); !fits) {
        return fits.error();
    }
    return from.in_turns() ? from.in_turns()->acquire(from, how) : acquire_from_store(from, weight, how);
}

result<held> acquire_from_store(resource& from, std::uint32_t weight, const patience& how) {
    acquisition running(from, weight, how);
    for (;;) {
        switch (running.go_on()) {
        case acquisition::step::done:
            return running.take_outcome();
        case acquisition::step::needs_session:
            open_session(running, from.client());
            break;
        case acquisition::step::waits:
            wait_for_claim(running);
            break;
        case acquisition::step::pauses:
            pause(running, from.client().terms().traits.clock);
            break;
        }
    }
}

} // namespace holdfast::core
