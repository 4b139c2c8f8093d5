#include "line_reading.hpp"

#include <algorithm>
#include <condition_variable>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>

#include "keys.hpp"
#include "value.hpp"

namespace holdfast::etcd {
namespace {

constexpr std::int64_t page_keys = 1000;

// One reading under way. Pages follow each other by key, all at the revision of the first.
struct reading_state {
    transport& calls;
    const std::string prefix;
    key_range range;
    instant deadline;
    std::function<void(line_reading)> done;
    line_reading so_far;
    bool keys_only = true;
};

void read_page(const std::shared_ptr<reading_state>& state);

void on_page(const std::shared_ptr<reading_state>& state, outcome what) {
    range_reply page;
    if (what.ok() && !decode(what.body, page)) {
        what.code = rpc_code::internal;
        what.message = "the reply is not what etcd answers";
    }
    line_reading& so_far = state->so_far;
    if (what.ok() && so_far.keys.size() + page.kvs.size() > max_keys_read) {
        what.code = rpc_code::resource_exhausted;
        what.message = "too many keys below one name";
    }
    if (!what.ok()) {
        so_far.failure = std::move(what);
        so_far.keys.clear();
        state->done(std::move(so_far));
        return;
    }
    if (so_far.revision == 0) {
        so_far.revision = page.head.revision;
    }
    std::ranges::move(page.kvs, std::back_inserter(so_far.keys));
    if (page.more && !page.kvs.empty()) {
        state->range.key = so_far.keys.back().key + '\0';
        read_page(state);
        return;
    }
    if (state->keys_only && std::ranges::any_of(so_far.keys, [&](const key_value& kv) {
            return needs_value(state->prefix, kv);
        })) {
        so_far.keys.clear();
        state->keys_only = false;
        state->range = range_of(state->prefix);
        read_page(state);
        return;
    }
    state->done(std::move(so_far));
}

void read_page(const std::shared_ptr<reading_state>& state) {
    range_request request;
    request.key = state->range.key;
    request.range_end = state->range.end;
    request.limit = page_keys;
    request.revision = state->so_far.revision;
    request.keys_only = state->keys_only;
    state->calls.call(method::range, encode(request), state->deadline, repeat::freely,
                      [state](outcome what) { on_page(state, std::move(what)); });
}

void start(transport& calls, const std::string& prefix, std::int64_t revision, instant deadline,
           bool keys_only, std::function<void(line_reading)> done) {
    auto state = std::make_shared<reading_state>(
        reading_state{calls, prefix, range_of(prefix), deadline, std::move(done), line_reading{}, keys_only});
    state->so_far.revision = revision;
    read_page(state);
}

line_reading wait_for_reading(transport& calls, const std::string& prefix, instant give_up, bool keys_only) {
    struct box {
        std::mutex mutex;
        std::condition_variable ready;
        std::optional<line_reading> reading;
    };
    auto place = std::make_shared<box>();
    start(calls, prefix, 0, give_up, keys_only, [place](line_reading reading) {
        const std::lock_guard lock(place->mutex);
        place->reading = std::move(reading);
        place->ready.notify_all();
    });
    std::unique_lock lock(place->mutex);
    place->ready.wait(lock, [&] { return place->reading.has_value(); });
    return std::move(*place->reading);
}

} // namespace

void read_line(transport& calls, const std::string& prefix, std::int64_t revision, instant deadline,
               std::function<void(line_reading)> done) {
    start(calls, prefix, revision, deadline, true, std::move(done));
}

line_reading read_values(transport& calls, const std::string& prefix, instant give_up) {
    return wait_for_reading(calls, prefix, give_up, false);
}

line_reading read_keys(transport& calls, const std::string& prefix, instant give_up) {
    return wait_for_reading(calls, prefix, give_up, true);
}

} // namespace holdfast::etcd
