// connect(), and what a locks object does: it makes faces, and asks the store on behalf of people.
#include <holdfast/holdfast.hpp>

#include "client.hpp"
#include "face.hpp"
#include "turns.hpp"

namespace holdfast {

mutex locks::mutex(std::string_view name, mutex_options how) const {
    const auto& terms = client_->terms();
    if (how.local_hand_over < std::chrono::nanoseconds::zero() || how.local_hand_over > terms.ttl / 2) {
        error(errc::misuse, "local_hand_over must be from 0 to half of the TTL").raise();
    }
    std::shared_ptr<core::turns> in_turns;
    if (how.local_hand_over > std::chrono::nanoseconds::zero()) {
        in_turns = std::make_shared<core::turns>(how.local_hand_over, terms.traits.clock);
    }
    return holdfast::mutex(
        std::make_shared<core::lockable>(client_, resource_name::make(name).value(), std::move(in_turns)));
}

shared_mutex locks::shared_mutex(std::string_view name) const {
    return holdfast::shared_mutex(
        std::make_shared<core::lockable>(client_, resource_name::make(name).value()));
}

semaphore locks::semaphore(std::string_view name, std::uint32_t permits) const {
    if (permits == 0 || permits > max_permits) {
        error(errc::misuse, "a semaphore has 1 to 1000000 permits, not " + std::to_string(permits)).raise();
    }
    return holdfast::semaphore(
        std::make_shared<core::resource>(client_, resource_name::make(name).value(), permits));
}

election locks::election(std::string_view name) const {
    return holdfast::election(
        std::make_shared<core::resource>(client_, resource_name::make(name).value(), lock_capacity));
}

store_traits locks::traits() const {
    return client_->terms().traits;
}

std::string locks::url() const {
    return client_->shown_url();
}

// For administrators

namespace {

instant one_operation(const core::client& in) {
    return in.now() + in.terms().op_timeout;
}

/// Calls `ask` with the name when that is one. Not in a forked child, whose connection is the parent's.
template <typename Ask>
auto with_name(const core::client& in, std::string_view bytes, const Ask& ask)
    -> decltype(ask(resource_name::make(bytes).value())) {
    if (in.forked()) {
        return core::client::inherited();
    }
    const auto name = resource_name::make(bytes);
    if (!name) {
        return name.error();
    }
    return ask(*name);
}

} // namespace

result<std::vector<resource_status>> locks::list() const {
    if (client_->forked()) {
        return core::client::inherited();
    }
    return client_->engine().list(one_operation(*client_));
}

result<resource_status> locks::show(std::string_view name) const {
    return with_name(*client_, name, [this](const resource_name& of) {
        return client_->engine().show(of, one_operation(*client_));
    });
}

result<std::size_t> locks::break_holds(std::string_view name, std::optional<token> only) const {
    return with_name(*client_, name, [this, only](const resource_name& of) {
        return client_->engine().break_holds(of, only, one_operation(*client_));
    });
}

result<void> locks::resize(std::string_view name, std::uint32_t permits) const {
    if (permits == 0 || permits > max_permits) {
        return error(errc::misuse, "a semaphore has 1 to 1000000 permits, not " + std::to_string(permits));
    }
    return with_name(*client_, name, [this, permits](const resource_name& of) {
        return client_->engine().resize(of, permits, one_operation(*client_));
    });
}

std::vector<finding> locks::diagnose() const {
    if (client_->forked()) {
        return {{.how = finding::severity::error,
                 .what = "fork",
                 .seen = core::client::inherited().message(),
                 .remedy = "connect in the child"}};
    }
    return client_->engine().diagnose(client_->terms().ttl, one_operation(*client_));
}

locks connect(std::string_view url, options how) {
    return try_connect(url, std::move(how)).value();
}

result<locks> try_connect(std::string_view url, options how) {
    auto made = core::client::connect(url, how);
    if (!made) {
        return made.error();
    }
    return locks(std::move(*made));
}

} // namespace holdfast
