// The line of a name as it ought to be, for the lock-step test of the scripts.
#pragma once

#include "core/line.hpp"

#include <algorithm>
#include <cstddef>
#include <set>
#include <string>
#include <vector>

namespace holdfast::testing {

struct standing {
    std::string id;
    core::place place;
    bool holds = false;
    bool expired = false;
    long long token = 0;
    bool alone = false; ///< It was granted all there is, and stands in the gate itself.
};

/// What the line ought to be. Holders stand first.
struct model {
    std::vector<standing> line;
    bool foreign = false;
    long long highest = 0;
    std::set<std::string> broken; ///< Whoever was ever broken; the mark outlives the test.

    standing* find(const std::string& id) {
        const auto at =
            std::find_if(line.begin(), line.end(), [&](const standing& each) { return each.id == id; });
        return at == line.end() ? nullptr : &*at;
    }

    bool fits(std::size_t count) const {
        std::vector<core::place> places;
        for (std::size_t i = 0; i < count; ++i) {
            places.push_back(line[i].place);
        }
        return core::granted_prefix(places) == count;
    }

    /// What any script does first: holders whose lease has ended are gone, then the head of the line moves
    /// up. Returns those who hold from now on, in order.
    std::vector<std::string> settle() {
        std::erase_if(line, [](const standing& each) { return each.holds && each.expired; });
        std::vector<std::string> granted;
        for (std::size_t i = 0; i < line.size();) {
            if (line[i].holds) {
                ++i;
            } else if (line[i].expired) {
                line.erase(line.begin() + static_cast<std::ptrdiff_t>(i));
            } else if (!foreign && fits(i + 1)) {
                line[i].holds = true;
                line[i].alone = line[i].place.weight == line[i].place.capacity;
                granted.push_back(line[i].id);
                ++i;
            } else {
                break;
            }
        }
        return granted;
    }

    /// Somebody alive holds all there is.
    bool taken_whole() const {
        return !foreign && !line.empty() && line[0].holds && line[0].alone && !line[0].expired;
    }

    /// Who adds himself to a line behind such a holder, or is refused there, looks at nobody but the last
    /// waiter: the dead who wait stay where they are.
    bool joins_briefly(const core::place& newcomer, bool only_if_free, std::size_t longest) const {
        return taken_whole() && line[0].place.capacity == newcomer.capacity && line.size() > 1 &&
               (only_if_free || line.size() > longest || !line.back().expired);
    }

    /// Nor does such a holder look further when it ends and whoever is next takes all there is as well.
    std::vector<std::string> hand_over_briefly() {
        standing& next = line[1];
        next.holds = next.alone = true;
        const std::string to = next.id;
        line.erase(line.begin());
        return {to};
    }

    void gate_replaced(bool by_foreigner) {
        std::erase_if(line, [](const standing& each) { return each.holds; });
        foreign = by_foreigner;
    }
};

} // namespace holdfast::testing
