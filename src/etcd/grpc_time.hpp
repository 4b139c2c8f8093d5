// Our instants as gRPC counts.
#pragma once

#include <grpc/support/time.h>

#include "core/boottime.hpp"

namespace holdfast::etcd {

/// A deadline on the monotonic clock, so that a step of the wall clock neither hangs nor ends a call.
inline gpr_timespec grpc_deadline(instant until) {
    if (until == instant::max()) {
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    }
    const auto left = until - boottime();
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(left.count(), GPR_TIMESPAN));
}

} // namespace holdfast::etcd
