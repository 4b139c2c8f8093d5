#include "history.hpp"

#include <algorithm>
#include <array>

namespace holdfast::chaos {
namespace {

constexpr std::size_t most_told = 5;

std::string at(instant when) {
    return std::to_string(
               std::chrono::duration_cast<std::chrono::microseconds>(when.time_since_epoch()).count()) +
           " us";
}

std::string shown(const turn& one) {
    return "token " + std::to_string(one.token) + " (weight " + std::to_string(one.weight) + ", called " +
           at(one.called) + ", held from " + at(one.acquired) + " to " + at(one.ended) + ")";
}

/// Sorted by token.
void check_tokens(const promise& what, const std::vector<turn>& turns, std::vector<std::string>& broken) {
    const turn* latest = nullptr;
    // Permits are granted side by side, and the news of one grant may overtake another's: of them only the
    // call is certain to come before the grant.
    const auto start = [&](const turn& one) { return what.one_at_a_time ? one.acquired : one.called; };
    for (std::size_t i = 0; i < turns.size() && broken.size() < most_told; ++i) {
        if (i > 0 && turns[i - 1].token == turns[i].token) {
            broken.push_back(what.name + ": one token was given twice: " + shown(turns[i - 1]) + " and " +
                             shown(turns[i]));
        }
        if (latest != nullptr && start(*latest) > turns[i].ended) {
            broken.push_back(what.name + ": tokens went back: " + shown(turns[i]) + " was over before " +
                             shown(*latest));
        }
        if (latest == nullptr || start(turns[i]) > start(*latest)) {
            latest = &turns[i];
        }
    }
}

void check_capacity(const promise& what, const std::vector<turn>& turns, std::vector<std::string>& broken) {
    struct change {
        instant when;
        bool begins;
        const turn* whose;
    };
    std::vector<change> changes;
    for (const turn& one : turns) {
        const instant end = std::max(one.acquired, one.ended - one.overlap);
        if (end > one.acquired) {
            changes.push_back({one.acquired, true, &one});
            changes.push_back({end, false, &one});
        }
    }
    // At one instant an end counts before a beginning: both clocks were read outside.
    std::ranges::sort(changes, [](const change& a, const change& b) {
        return a.when != b.when ? a.when < b.when : !a.begins && b.begins;
    });
    std::vector<const turn*> inside;
    std::uint64_t held = 0;
    std::size_t told = 0;
    for (const change& each : changes) {
        if (!each.begins) {
            std::erase(inside, each.whose);
            held -= each.whose->weight;
            continue;
        }
        inside.push_back(each.whose);
        held += each.whose->weight;
        if (held > what.capacity && told++ < most_told) {
            std::string text = what.name + ": more than " + std::to_string(what.capacity) + " held at once:";
            for (const turn* one : inside) {
                text += " " + shown(*one);
            }
            broken.push_back(std::move(text));
        }
    }
}

} // namespace

std::vector<std::string> broken_promises(const promise& what, std::vector<turn> turns) {
    std::vector<std::string> broken;
    std::ranges::sort(turns, {}, &turn::token);
    check_tokens(what, turns, broken);
    check_capacity(what, turns, broken);
    return broken;
}

} // namespace holdfast::chaos
