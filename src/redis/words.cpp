#include "words.hpp"

namespace holdfast::redis {
namespace {

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

} // namespace

error error_of(const reply& got, const settings& where) {
    const std::string at = "Redis at " + where.shown();
    const std::string said = ": " + got.text;
    // Before 6.0 a wrong password is only told by the words "invalid password".
    if (got.is_error("WRONGPASS") || has(got.text, "invalid password") ||
        has(got.text, "without any password")) {
        return {errc::unauthorized, at + " refused the user or password" + said};
    }
    if (got.is_error("NOAUTH")) {
        return {errc::unauthorized,
                at + " wants a password: put it into a password file, the URL or REDISCLI_AUTH" + said};
    }
    if (got.is_error("NOPERM") || has(got.text, "NOPERM") || has(got.text, "The user executing the script")) {
        return {errc::unauthorized, at + " denies user '" + (where.user.empty() ? "default" : where.user) +
                                        "' a right that locks need; grant it with ACL SETUSER: the keys of "
                                        "your locks and ~holdfast:*, "
                                        "&holdfast:*, +@read +@write +@scripting +@pubsub +time" +
                                        (where.database == 0 ? "" : " +select") + said};
    }
    if (got.is_error("MOVED") || got.is_error("ASK") || got.is_error("CROSSSLOT")) {
        return {errc::config, at + " belongs to a Redis Cluster, which redis:// does not speak" + said};
    }
    return {errc::unavailable, at + " refused" + said};
}

} // namespace holdfast::redis
