#include "witness.hpp"

#include <algorithm>

namespace holdfast::etcd {

std::int64_t witness::floor() const {
    const core::latch_guard locked(guard_);
    return highest_;
}

bool witness::same_cluster(const header& head) {
    const core::latch_guard locked(guard_);
    if (head.cluster_id == 0 || cluster_ == 0 || head.cluster_id == cluster_) {
        cluster_ = cluster_ == 0 ? head.cluster_id : cluster_;
        return true;
    }
    cluster_ = head.cluster_id;
    highest_ = 0;
    return false;
}

bool witness::accept(const header& head, std::int64_t floor_then) {
    const bool same = same_cluster(head);
    const core::latch_guard locked(guard_);
    // Of several requests under way when the state went back, the first answer tells it. The floors of the
    // others are from before, and so above what counts now.
    if (same && head.revision < std::min(floor_then, highest_)) {
        highest_ = head.revision;
        return false;
    }
    highest_ = std::max(highest_, head.revision);
    return same;
}

} // namespace holdfast::etcd
