// What administrators do to a line: take holds away, change the number of permits.
#include "store.hpp"

#include "scripts.hpp"
#include "slots.hpp"
#include "words.hpp"

namespace holdfast::redis {
namespace {

std::optional<error> no_lock(const resource_name& name) {
    if (name.bytes().starts_with(own_prefix)) {
        return error(errc::misuse, "'" + name.bytes() + "' is no lock: names that begin with '" +
                                       std::string(own_prefix) + "' are kept for Holdfast's own keys");
    }
    return std::nullopt;
}

error no_answer(const engine& on, const resource_name& name) {
    return {errc::unknown_outcome,
            "Redis at " + on.where.shown() + " gave no answer about '" + name.bytes() + "'"};
}

} // namespace

result<std::size_t> store::break_holds(const resource_name& name, std::optional<token> only,
                                       instant give_up) {
    if (const auto problem = no_lock(name)) {
        return *problem;
    }
    const auto got = engine_->run(break_script, name.bytes(),
                                  {"", only ? std::to_string(only->value()) : std::string()}, give_up);
    if (!got) {
        return got.error();
    }
    if (got->type != reply::kind::integer || got->integer < -1) {
        return no_answer(*engine_, name);
    }
    if (got->integer == -1) {
        return error(errc::misuse, "'" + name.bytes() +
                                       "' holds data that is no lock of anybody's (neither a string nor a "
                                       "hash); delete it by hand if it is in the way");
    }
    return static_cast<std::size_t>(got->integer);
}

result<void> store::resize(const resource_name& name, std::uint32_t permits, instant give_up) {
    if (auto problem = no_lock(name)) {
        return *problem;
    }
    if (permits < 1 || permits > max_permits) {
        return error(errc::misuse, std::to_string(permits) + " permits for '" + name.bytes() +
                                       "': there must be 1 to " + std::to_string(max_permits));
    }
    const auto got = engine_->run(resize_script, name.bytes(),
                                  {"", std::to_string(permits), std::to_string(lock_capacity)}, give_up);
    if (!got) {
        return got.error();
    }
    if (got->type != reply::kind::integer) {
        return no_answer(*engine_, name);
    }
    if (got->integer == -1) {
        return error(errc::misuse, "'" + name.bytes() + "' is in use as a lock, which has no permits");
    }
    if (got->integer < 0) {
        return error(errc::misuse, "a claim on '" + name.bytes() + "' has asked for " +
                                       std::to_string(-1000 - got->integer) + " permits, more than " +
                                       std::to_string(permits));
    }
    return {};
}

} // namespace holdfast::redis
