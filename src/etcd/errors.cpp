#include "errors.hpp"

#include <string_view>

namespace holdfast::etcd {
namespace {

bool says(const outcome& what, std::string_view words) {
    return what.message.find(words) != std::string::npos;
}

error unsure(const std::string& text, std::optional<std::chrono::nanoseconds> ends_in) {
    return ends_in ? error(errc::unknown_outcome, text, *ends_in) : error(errc::unknown_outcome, text);
}

} // namespace

error to_error(const outcome& what, const std::string& step, effect kind,
               std::optional<std::chrono::nanoseconds> ends_in) {
    const std::string place = step + " on etcd at " + what.endpoint;
    if (what.code == rpc_code::permission_denied) {
        return {errc::unauthorized,
                place + " was refused: permission denied; grant the user's role readwrite on the "
                        "prefix of the lock's name"};
    }
    if (says(what, "authentication failed")) {
        return {errc::unauthorized, place + " was refused: wrong user or password"};
    }
    if (says(what, "user name is empty")) {
        return {errc::unauthorized,
                place + " was refused: this etcd wants a user; put it into the URL or into ETCDCTL_USER"};
    }
    if (is_stale_token(what.code, what.message)) {
        return {errc::unauthorized, place + " was refused: " + what.message};
    }
    if (is_lease_gone(what)) {
        return {errc::lost, place + " failed: the session's lease is gone"};
    }
    if (says(what, "database space exceeded")) {
        return {errc::unavailable,
                place + " failed: its database is full; compact and defragment it, then disarm the "
                        "alarm (etcdctl compact, defrag, alarm disarm)"};
    }
    if (says(what, "too many requests")) {
        return {errc::unavailable, place + " failed: the server is overloaded"};
    }
    if (says(what, "request is too large")) {
        return {errc::misuse, place + " failed: the request is larger than the server takes"};
    }
    if (what.code == rpc_code::unimplemented) {
        return {errc::config,
                place + " failed: whoever answers there is not an etcd 3.4 or later (" + what.message + ")"};
    }
    if (kind == effect::change && what.sent) {
        return unsure(place + " was sent, but not answered in time or not clearly (" + what.message +
                          "): it may have happened",
                      ends_in);
    }
    return {errc::unavailable, place + " failed: no answer (" + what.message +
                                   "); is etcd running there, and is the address right?"};
}

error bad_reply(const outcome& what, const std::string& step, effect kind,
                std::optional<std::chrono::nanoseconds> ends_in) {
    const std::string text = step + " on etcd at " + what.endpoint + ": the reply is not what etcd answers";
    return kind == effect::change ? unsure(text, ends_in) : error(errc::unavailable, text);
}

bool is_lease_gone(const outcome& what) noexcept {
    return what.code == rpc_code::not_found && says(what, "lease not found");
}

} // namespace holdfast::etcd
