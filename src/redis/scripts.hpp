// The scripts that run inside Redis, embedded at build time from the .lua files of this folder.
#pragma once

#include <string_view>

namespace holdfast::redis {

struct script {
    std::string_view text;
    std::string_view sha1; ///< Of the text, in hexadecimal: the name it has on the server.
    std::size_t index;     ///< 0 to script_count - 1.
};

inline constexpr std::size_t script_count = 8;

extern const script append_script;
extern const script renew_script;
extern const script renew_many_script;
extern const script remove_script;
extern const script proclaim_script;
extern const script break_script;
extern const script resize_script;
extern const script probe_script;

/// What append and renew reply with instead of a token; see line.lua and append.lua.
namespace verdict {
inline constexpr long long gone = 0;
inline constexpr long long busy = -1;
inline constexpr long long line_full = -2;
inline constexpr long long broken = -3;
inline constexpr long long waiting = -100;                    ///< This or less: it waits.
inline constexpr long long look_again = -1'000;               ///< Minus the ms until then.
inline constexpr long long behind_foreigner = -1'000'000'000; ///< Minus the ms until the foreign key expires.
inline constexpr long long other_kind = -2'000'000'000;       ///< Minus the capacity in use.
} // namespace verdict

} // namespace holdfast::redis
