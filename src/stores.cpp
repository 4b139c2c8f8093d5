// The only place that maps a URL's scheme to a store.
#include "core/factory.hpp"

#include <array>
#include <string_view>

namespace holdfast::core {
namespace {

struct entry {
    std::string_view scheme;
    const store_factory* factory; ///< Null where the store's CMake target was not linked.
    std::string_view target;
};

std::array<entry, 10> entries() {
    return {{{"local", &holdfast_store_local, "holdfast::local"},
             {"etcd", &holdfast_store_etcd, "holdfast::etcd"},
             {"etcds", &holdfast_store_etcd, "holdfast::etcd"},
             {"redis", &holdfast_store_redis, "holdfast::redis"},
             {"rediss", &holdfast_store_redis, "holdfast::redis"},
             {"redis-sentinel", &holdfast_store_redis, "holdfast::redis"},
             {"redis+sentinel", &holdfast_store_redis, "holdfast::redis"},
             {"rediss-sentinel", &holdfast_store_redis, "holdfast::redis"},
             {"rediss+sentinel", &holdfast_store_redis, "holdfast::redis"},
             {"unix", &holdfast_store_redis, "holdfast::redis"}}};
}

} // namespace

result<std::unique_ptr<store>> make_store(const store_config& config) {
    for (const entry& known : entries()) {
        if (known.scheme != config.url.scheme) {
            continue;
        }
        if (known.factory == nullptr) {
            return error(errc::config, "this program has no store for '" + config.url.scheme +
                                           ":'; link it with the CMake target " + std::string(known.target));
        }
        return (*known.factory)(config);
    }
    return error(errc::config,
                 "no store is known for '" + config.url.scheme +
                     ":'; use local:, etcd://, etcds://, redis://, rediss://, redis-sentinel:// or unix://");
}

} // namespace holdfast::core
