// What a store does that does not say otherwise.
#include <holdfast/store.hpp>

#include <algorithm>

namespace holdfast {

namespace {

error cannot(const store& engine, const char* what) {
    return {errc::misuse, "this store (" + engine.traits().engine + ") cannot " + what};
}

} // namespace

std::unique_ptr<session_hints> store_session::hints() {
    return nullptr;
}

void store_session::drive(claim_events& entry, instant until) {
    entry.place.wait_until(until, clock_source::boottime);
}

void store_session::interrupt(claim_events& entry) noexcept {
    entry.place.notify();
}

result<void> store_session::proclaim(claim_events&, std::string_view, instant) {
    return error(errc::misuse, "this store keeps no proposals");
}

std::string store_session::engine_key(const claim_events&) const {
    return {};
}

void store_session::start_threads() {}

std::optional<life_word> store_session::second_life() const noexcept {
    return std::nullopt;
}

std::shared_ptr<fast_path> store_session::fast(const claim&) {
    return nullptr;
}

token fast_path::wait_and_acquire(std::uint64_t&, const void*) noexcept {
    return {};
}

fast_path::way_out fast_path::direct_release() noexcept {
    return {};
}

void fast_path::follow(std::uint64_t, std::shared_ptr<claim_events>) {}

result<resource_status> store::show(const resource_name& name, instant give_up) {
    auto all = list(give_up);
    if (!all) {
        return all.error();
    }
    const auto found = std::find_if(
        all->begin(), all->end(), [&name](const resource_status& each) { return each.name == name.bytes(); });
    if (found == all->end()) {
        return resource_status{.name = name.bytes(), .claims = {}};
    }
    return std::move(*found);
}

result<std::size_t> store::break_holds(const resource_name&, std::optional<token>, instant) {
    return cannot(*this, "break holds");
}

result<void> store::resize(const resource_name&, std::uint32_t, instant) {
    return cannot(*this, "resize a line");
}

std::shared_ptr<void> store::watch(const resource_name&, std::function<void()>) {
    return nullptr;
}

std::vector<finding> store::diagnose(std::chrono::nanoseconds, instant) {
    return {};
}

} // namespace holdfast
