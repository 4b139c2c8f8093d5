#include <holdfast/held.hpp>

#include "adjacent.hpp"
#include "grip.hpp"
#include "hold.hpp"

namespace holdfast {

using std::chrono::nanoseconds;

held::held(std::shared_ptr<core::hold> state) noexcept : grip_(core::grip::on(std::move(state))) {}

token held::token() const noexcept {
    return grip_ != nullptr ? grip_->token() : holdfast::token();
}

nanoseconds held::valid_for() const noexcept {
    return grip_ != nullptr ? grip_->valid_for() : nanoseconds::zero();
}

loss_reason held::reason() const noexcept {
    return grip_ != nullptr ? grip_->reason() : loss_reason::none;
}

std::stop_token held::lost() const {
    return grip_ != nullptr ? grip_->whole()->lost() : std::stop_token();
}

std::string held::engine_key() const {
    return grip_ != nullptr ? grip_->whole()->engine_key() : std::string();
}

std::optional<life_word> held::second_life() const {
    return grip_ != nullptr ? grip_->whole()->second_life() : std::nullopt;
}

HOLDFAST_BEFORE_WAKE result<void> held::release() {
    core::grip* const mine = std::exchange(grip_, nullptr);
    if (mine == nullptr || mine->let_go()) {
        return {};
    }
    return mine->take()->release();
}

} // namespace holdfast
