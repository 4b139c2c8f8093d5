#include "own_key.hpp"

#include <string_view>

#include "keys.hpp"

namespace holdfast::etcd {

std::optional<verdict::kind> own_key::apply(const std::vector<watch_event>& events) {
    for (const watch_event& event : events) {
        if (event.kv.mod_revision <= create_revision_) {
            continue; // The end of an earlier claim, or the append itself.
        }
        if (event.deleted || event.kv.create_revision != create_revision_) {
            return end();
        }
        moved_ = is_moved(event.kv);
    }
    return std::nullopt;
}

std::optional<verdict::kind> own_key::judge(const range_reply& reading) {
    if (reading.head.revision < create_revision_) {
        return verdict::kind::replaced;
    }
    if (reading.kvs.empty() || reading.kvs.front().create_revision != create_revision_) {
        return end();
    }
    moved_ = is_moved(reading.kvs.front());
    return std::nullopt;
}

bool own_key::is_moved(const key_value& kv) const {
    const auto text = parse_claim(std::string_view(claim->key).substr(claim->prefix.size()));
    return text && kv.lease != 0 && kv.lease != text->lease;
}

} // namespace holdfast::etcd
