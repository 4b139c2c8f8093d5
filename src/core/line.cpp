#include "line.hpp"

namespace holdfast::core {

bool may_join(const place& head, const place& newcomer) noexcept {
    if (newcomer.weight == 0 || newcomer.weight > newcomer.capacity) {
        return false;
    }
    return head.foreign || newcomer.foreign || head.capacity == newcomer.capacity;
}

std::size_t granted_prefix(std::span<const place> line) noexcept {
    if (line.empty()) {
        return 0;
    }
    const place& head = line.front();
    if (head.foreign || head.weight >= head.capacity) {
        return 1;
    }
    std::uint64_t weight = head.weight;
    std::size_t granted = 1;
    for (const place& next : line.subspan(1)) {
        if (next.foreign || next.capacity != head.capacity || weight + next.weight > head.capacity) {
            break;
        }
        weight += next.weight;
        ++granted;
    }
    return granted;
}

} // namespace holdfast::core
