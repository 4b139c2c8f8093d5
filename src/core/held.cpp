#include <holdfast/held.hpp>

#include "hold.hpp"

namespace holdfast {

using std::chrono::nanoseconds;

held::held(std::shared_ptr<core::hold> state) noexcept : state_(std::move(state)) {}

held& held::operator=(held&& other) noexcept {
    if (this != &other) {
        static_cast<void>(release());
        state_ = std::move(other.state_);
    }
    return *this;
}

held::~held() {
    static_cast<void>(release());
}

token held::token() const noexcept {
    return state_ ? state_->token() : holdfast::token();
}

nanoseconds held::valid_for() const noexcept {
    return state_ ? state_->valid_for() : nanoseconds::zero();
}

loss_reason held::reason() const noexcept {
    return state_ ? state_->reason() : loss_reason::none;
}

std::stop_token held::lost() const {
    return state_ ? state_->lost() : std::stop_token();
}

std::string held::engine_key() const {
    return state_ ? state_->engine_key() : std::string();
}

std::optional<life_word> held::second_life() const {
    return state_ ? state_->second_life() : std::nullopt;
}

result<void> held::release() {
    if (!state_) {
        return {};
    }
    const auto state = std::move(state_);
    state_ = nullptr;
    return state->release();
}

} // namespace holdfast
