#include <holdfast/error.hpp>

namespace holdfast {
namespace {

class category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "holdfast"; }

    std::string message(int value) const override {
        switch (static_cast<errc>(value)) {
        case errc::busy:
            return "taken by somebody else";
        case errc::timed_out:
            return "not acquired in time";
        case errc::cancelled:
            return "cancelled";
        case errc::lost:
            return "the lock was lost";
        case errc::unavailable:
            return "the store cannot be reached";
        case errc::unauthorized:
            return "the store refused our credentials or rights";
        case errc::unknown_outcome:
            return "the outcome is unknown";
        case errc::misuse:
            return "not possible in this way";
        case errc::level_not_met:
            return "the store cannot promise the required level";
        case errc::config:
            return "bad configuration";
        }
        return "unknown error " + std::to_string(value);
    }
};

} // namespace

const std::error_category& error_category() noexcept {
    static const category one;
    return one;
}

std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), error_category()};
}

void error::raise() const {
    throw std::system_error(make_error_code(code_), message_);
}

} // namespace holdfast
