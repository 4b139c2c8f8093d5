// Keys of one session that were used and are free again, for the next claims of the same names.
//
// etcd keeps something of every key that ever was until its history is compacted, and a look at a line walks
// over all of it. With a new key for every claim, a name that is locked again and again would become slower
// and slower. So a claim takes the key of an earlier one of its session, name and shape, where nothing can be
// under way any more that was meant for that one; what is meant for one claim compares the create revision.
//
// Thread-safe.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/annotations.hpp"
#include "core/line.hpp"

namespace holdfast::etcd {

class key_pool {
  public:
    /// Empty when there is none.
    std::string take(const std::string& prefix, const core::place& shape);
    void put_back(const std::string& prefix, const std::string& key, const core::place& shape);

  private:
    struct entry {
        std::string key;
        core::place shape;
    };
    core::latch guard_;
    std::unordered_map<std::string, std::vector<entry>> free_ GUARDED_BY(guard_); ///< By prefix.
    std::size_t size_ GUARDED_BY(guard_) = 0;
};

} // namespace holdfast::etcd
