// The part of rpc.hpp that needs no gRPC, and is instrumented where the rest is not.
#include "rpc.hpp"

#include "core/annotations.hpp"

namespace holdfast::etcd {

void let_go(std::shared_ptr<void> last);

outcome transport::call_and_wait(const char* method, std::string request, instant deadline, repeat again) {
    struct box {
        core::latch guard;
        bool done GUARDED_BY(guard) = false;
        outcome what GUARDED_BY(guard);
        parking_place place;
    };
    const auto answer = std::make_shared<box>();
    call(method, std::move(request), deadline, again, [this, answer](outcome what) {
        {
            const core::latch_guard locked(answer->guard);
            answer->what = std::move(what);
            answer->done = true;
        }
        answer->place.notify();
        wake(answer->place);
    });
    for (;;) {
        answer->place.reset();
        {
            const core::latch_guard locked(answer->guard);
            if (answer->done) {
                return std::move(answer->what);
            }
        }
        drive(answer->place, instant::max()); // The call ends by itself.
    }
}

void transport::drive(parking_place& place, instant until) {
    place.wait_until(until, clock_source::boottime);
}

void transport::wake(parking_place&) noexcept {}

void let_go(std::shared_ptr<void> last) {
    last.reset();
}

bool is_stale_token(rpc_code code, std::string_view message) noexcept {
    if (code == rpc_code::unauthenticated) {
        return true;
    }
    return message.find("invalid auth token") != std::string_view::npos ||
           message.find("revision of auth store is old") != std::string_view::npos ||
           message.find("user name is empty") != std::string_view::npos;
}

} // namespace holdfast::etcd
