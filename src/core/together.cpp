#include <holdfast/together.hpp>

#include <algorithm>
#include <list>

#include "face.hpp"
#include "inside.hpp"

namespace holdfast::core {

using std::chrono::nanoseconds;

namespace {

/// Ends what was taken, the last first. The reason stands unless a removal is unsure.
error give_back(std::vector<held>& taken, error why) {
    for (auto each = taken.rbegin(); each != taken.rend(); ++each) {
        const auto released = each->release();
        if (!released && released.error().code() == errc::unknown_outcome) {
            const nanoseconds ends_in = std::max(why.ends_in().value_or(nanoseconds::zero()),
                                                 released.error().ends_in().value_or(nanoseconds::zero()));
            why = error(errc::unknown_outcome, why.message() + "; " + released.error().message(), ends_in);
        }
    }
    return why;
}

/// The indices in the order in which everybody acquires; misuse when two are the same lock.
result<std::vector<std::size_t>> in_order(const std::vector<share>& wanted) {
    const auto key = [&](std::size_t i) {
        resource& of = *wanted[i].of;
        return std::pair<const std::string&, const std::string&>(of.client().shown_url(), of.name().bytes());
    };
    std::vector<std::size_t> order(wanted.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
        order[i] = i;
    }
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
    const auto twice = std::adjacent_find(order.begin(), order.end(),
                                          [&](std::size_t a, std::size_t b) { return key(a) == key(b); });
    if (twice != order.end()) {
        return error(errc::misuse,
                     wanted[*twice].of->shown() + " was asked for twice at once: it would wait for itself");
    }
    return order;
}

} // namespace

share share_of(const exclusive_access& face) {
    return {.of = inside::of(face), .weight = lock_capacity};
}

share share_of(const semaphore& face) {
    return {.of = inside::of(face), .weight = 1};
}

result<std::vector<held>> acquire_shares(const std::vector<share>& wanted, const std::stop_token& stop) {
    const auto order = in_order(wanted);
    if (!order) {
        return order.error();
    }
    std::vector<held> taken(wanted.size());
    // Fires also when a hold is lost while we stand in line for the next, perhaps for hours.
    std::stop_source over;
    const auto end = [&over] { over.request_stop(); };
    const std::stop_callback on_stop(stop, end);
    std::list<std::stop_callback<decltype(end)>> on_loss;
    for (const std::size_t i : *order) {
        auto got = acquire(*wanted[i].of, wanted[i].weight, patience_of(over.get_token()));
        if (!got) {
            on_loss.clear();
            if (got.error().code() == errc::cancelled && !stop.stop_requested()) {
                return give_back(taken, error(errc::lost, "a lock was lost while " + wanted[i].of->shown() +
                                                              " was waited for; ask for all again"));
            }
            return give_back(taken, got.error());
        }
        taken[i] = std::move(*got);
        if (i != order->back()) {
            on_loss.emplace_back(taken[i].lost(), end);
        }
    }
    on_loss.clear();
    for (const std::size_t i : *order) {
        if (taken[i].is_lost()) {
            return give_back(taken, error(errc::lost, wanted[i].of->shown() +
                                                          " was lost while the others were waited for; ask "
                                                          "for all again"));
        }
    }
    return taken;
}

result<void> end_of_work(held taken) {
    auto ended = taken.release();
    if (!ended && ended.error().code() == errc::lost) {
        return ended;
    }
    return {}; // A release that was not confirmed goes on in the background: the work was done under the
               // lock.
}

} // namespace holdfast::core
