#include "key_pool.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::etcd {
namespace {

// Of a process that goes through many names, the latest are those that may come again.
constexpr std::size_t most_keys = 1024;

} // namespace

std::string key_pool::take(const std::string& prefix, const core::place& shape) {
    const core::latch_guard locked(guard_);
    const auto of_name = free_.find(prefix);
    if (of_name == free_.end()) {
        return {};
    }
    std::vector<entry>& entries = of_name->second;
    const auto found = std::ranges::find_if(entries, [&](const entry& each) {
        return each.shape.weight == shape.weight && each.shape.capacity == shape.capacity;
    });
    if (found == entries.end()) {
        return {};
    }
    std::string key = std::move(found->key);
    *found = std::move(entries.back());
    entries.pop_back();
    --size_;
    return key;
}

void key_pool::put_back(const std::string& prefix, const std::string& key, const core::place& shape) {
    const core::latch_guard locked(guard_);
    if (size_ >= most_keys) {
        free_.clear();
        size_ = 0;
    }
    free_[prefix].push_back({key, shape});
    ++size_;
}

} // namespace holdfast::etcd
