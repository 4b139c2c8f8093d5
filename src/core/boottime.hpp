// The clock that leases on network stores are counted by.
#pragma once

#include <holdfast/store.hpp>

namespace holdfast {

inline instant boottime() noexcept {
    return now(clock_source::boottime);
}

} // namespace holdfast
