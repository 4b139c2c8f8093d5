#include "who.hpp"

#include <nlohmann/json.hpp>

#include "slots.hpp"

namespace holdfast::redis {

using nlohmann::json;

std::string session_text(const std::array<std::uint8_t, 16>& id) {
    return to_string(claim_id{.session = id, .number = 1}).substr(0, 32);
}

std::string channel_of(std::string_view session) {
    return std::string(own_prefix).append(session);
}

std::string note_key(std::string_view session) {
    return std::string(own_prefix).append("session:").append(session);
}

std::string write_note(const holder_info& who) {
    const json note{
        {"user", who.user}, {"host", who.host}, {"pid", who.pid}, {"command", who.command}, {"why", who.why}};
    return note.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<holder_info> read_note(std::string_view text) {
    constexpr std::size_t longest = 128;
    const json note = json::parse(text, nullptr, false);
    if (!note.is_object()) {
        return std::nullopt;
    }
    const auto words = [&](const char* key) {
        const auto found = note.find(key);
        return found != note.end() && found->is_string() ? found->get<std::string>().substr(0, longest)
                                                         : std::string();
    };
    holder_info who{.user = words("user"),
                    .host = words("host"),
                    .pid = 0,
                    .command = words("command"),
                    .why = words("why")};
    if (const auto pid = note.find("pid"); pid != note.end() && pid->is_number_integer()) {
        who.pid = pid->get<std::int64_t>();
    }
    return who;
}

} // namespace holdfast::redis
