#include "value.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "keys.hpp"

namespace holdfast::etcd {
namespace {

using nlohmann::json;

constexpr std::size_t max_note_bytes = 4096;
constexpr std::size_t max_text_bytes = 128;
constexpr const char* mark = "holdfast"; ///< Its number is the version of the form.
constexpr int note_version = 1;

std::string cut(const std::string& text) {
    return text.substr(0, max_text_bytes);
}

std::string read_text(const json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? cut(found->get_ref<const std::string&>())
                                                       : std::string();
}

std::string to_hex(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        out.push_back(digits[byte >> 4U]);
        out.push_back(digits[byte & 15U]);
    }
    return out;
}

std::optional<std::string> from_hex(std::string_view text) {
    const auto value = [](char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    std::string out;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        const int high = value(text[i]);
        const int low = value(text[i + 1]);
        if (high < 0 || low < 0) {
            return std::nullopt;
        }
        out.push_back(static_cast<char>(high * 16 + low));
    }
    return text.size() % 2 == 0 ? std::optional(out) : std::nullopt;
}

std::optional<claim_note> read_note(std::string_view bytes) {
    if (bytes.empty() || bytes.front() != '{' || bytes.size() > max_note_bytes) {
        return std::nullopt;
    }
    const json object = json::parse(bytes, nullptr, false);
    if (!object.is_object() || object.value(mark, json()) != note_version) {
        return std::nullopt;
    }
    claim_note out;
    out.who.user = read_text(object, "user");
    out.who.host = read_text(object, "host");
    out.who.command = read_text(object, "command");
    out.who.why = read_text(object, "why");
    if (const auto pid = object.find("pid"); pid != object.end() && pid->is_number_integer()) {
        out.who.pid = pid->get<std::int64_t>();
    }
    if (const auto at = object.find("since_ms"); at != object.end() && at->is_number_integer()) {
        // A year 9999 and later would overflow the clock's nanoseconds.
        const auto ms = at->get<std::int64_t>();
        if (ms > 0 && ms < 9'000'000'000'000) {
            out.since = std::chrono::system_clock::time_point(std::chrono::milliseconds(ms));
        }
    }
    if (const auto found = object.find("capacity"); found != object.end() && found->is_number_unsigned()) {
        const auto number = found->get<std::uint64_t>();
        if (number >= 1 && number <= max_permits) {
            out.capacity = static_cast<std::uint32_t>(number);
            out.kept = object.value("kept", json()) == true;
        }
    }
    if (const auto found = object.find("proposal_hex"); found != object.end() && found->is_string()) {
        out.proposal = from_hex(found->get_ref<const std::string&>());
    }
    return out;
}

} // namespace

std::string write_value(const claim_note& note, std::uint32_t key_capacity) {
    if (note.proposal && key_capacity == lock_capacity && !read_note(*note.proposal)) {
        return *note.proposal;
    }
    const holder_info& who = note.who;
    json object{{mark, note_version}, {"user", cut(who.user)},       {"host", cut(who.host)},
                {"pid", who.pid},     {"command", cut(who.command)}, {"why", cut(who.why)}};
    if (note.since) {
        const auto at = std::chrono::duration_cast<std::chrono::milliseconds>(note.since->time_since_epoch());
        object["since_ms"] = at.count();
    }
    if (note.capacity) {
        object["capacity"] = *note.capacity;
        object["kept"] = note.kept;
    }
    if (note.proposal) {
        object["proposal_hex"] = to_hex(*note.proposal);
    }
    // Names of programs are bytes; what is not UTF-8 is shown as a replacement character, not refused.
    return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

note_writer::note_writer(const holder_info& who) {
    const std::string sample = write_value({.who = who, .since = std::chrono::system_clock::time_point()}, 1);
    // Inside of a text the quotes would be escaped: this stands there once.
    constexpr std::string_view member = "\"since_ms\":";
    const std::size_t number = sample.find(member) + member.size();
    before_ = sample.substr(0, number);
    after_ = sample.substr(number + 1); // The number is 0.
}

std::string note_writer::at(std::chrono::system_clock::time_point since) const {
    const auto count =
        std::chrono::duration_cast<std::chrono::milliseconds>(since.time_since_epoch()).count();
    return before_ + std::to_string(count) + after_;
}

claim_note read_value(std::string_view bytes) {
    if (auto note = read_note(bytes)) {
        return *std::move(note);
    }
    claim_note bare;
    bare.proposal = std::string(bytes);
    return bare;
}

std::optional<standing> place_of(std::string_view prefix, const key_value& kv) {
    const std::optional<core::place> by_key = place_of(prefix, kv.key);
    if (!by_key) {
        return std::nullopt;
    }
    standing out{*by_key, false};
    if (!by_key->foreign && by_key->capacity != lock_capacity && kv.mod_revision != kv.create_revision &&
        !kv.value.empty()) {
        const auto note = read_note(kv.value);
        if (note && note->capacity && *note->capacity >= by_key->weight) {
            out.place.capacity = *note->capacity;
            out.kept = note->kept;
        }
    }
    return out;
}

std::size_t granted_places(std::span<const core::place> line, std::size_t kept_at_head) noexcept {
    return std::max(core::granted_prefix(line), kept_at_head);
}

std::size_t granted_places(const std::vector<standing>& line) {
    std::vector<core::place> places;
    places.reserve(line.size());
    for (const standing& one : line) {
        places.push_back(one.place);
    }
    const auto other = std::ranges::find_if(line, [](const standing& one) { return !one.kept; });
    return granted_places(places, static_cast<std::size_t>(other - line.begin()));
}

bool needs_value(std::string_view prefix, const key_value& kv) {
    if (kv.mod_revision == kv.create_revision || !kv.value.empty()) {
        return false;
    }
    const std::optional<core::place> place = place_of(prefix, kv.key);
    return place && !place->foreign && place->capacity != lock_capacity;
}

} // namespace holdfast::etcd
