// The part of rpc.hpp that needs no gRPC, and is instrumented where the rest is not.
#include "rpc.hpp"

#include <condition_variable>
#include <mutex>

namespace holdfast::etcd {

void let_go(std::shared_ptr<void> last);

outcome transport::call_and_wait(const char* method, std::string request, instant deadline, repeat again) {
    struct box {
        std::mutex mutex;
        std::condition_variable ready;
        bool done = false;
        outcome what;
    };
    auto place = std::make_shared<box>();
    call(method, std::move(request), deadline, again, [place](outcome what) {
        const std::lock_guard lock(place->mutex);
        place->what = std::move(what);
        place->done = true;
        place->ready.notify_all();
    });
    std::unique_lock lock(place->mutex);
    place->ready.wait(lock, [&] { return place->done; });
    return std::move(place->what);
}

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
