#include "cli/text.hpp"

#include <gtest/gtest.h>

#include "cli/duration.hpp"
#include "cli/exit_code.hpp"

#include <cerrno>

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

TEST(duration, needs_a_unit) {
    EXPECT_EQ(parse_duration("10s"), 10s);
    EXPECT_EQ(parse_duration("1.5m"), 90s);
    EXPECT_EQ(parse_duration("250ms"), 250ms);
    EXPECT_EQ(parse_duration("2h"), 2h);
    EXPECT_EQ(parse_duration("1d"), 24h);
    EXPECT_EQ(parse_duration("7us"), 7us);
    EXPECT_EQ(parse_duration("0s"), 0s);
    for (const char* wrong : {"", "10", "s", "-1s", "+1s", "1 s", "1s ", "1e3s", "1.2.3s", ".s", "nans",
                              "infs", "0x1s", "10S", "10sec", "1m30s", "99999999999h"}) {
        EXPECT_EQ(parse_duration(wrong), std::nullopt) << wrong;
    }
}

TEST(seconds, are_bare_and_may_have_a_fraction) {
    EXPECT_EQ(parse_seconds("3"), 3s);
    EXPECT_EQ(parse_seconds("0.25"), 250ms);
    EXPECT_EQ(parse_seconds("0"), 0s);
    EXPECT_EQ(parse_seconds(".5"), 500ms);
    EXPECT_EQ(parse_seconds("5."), 5s);
    EXPECT_EQ(parse_seconds("1.0000000014"), 1s + 1ns) << "to the nearest";
    EXPECT_EQ(parse_seconds("0.9999999996"), 1s);
    EXPECT_EQ(parse_seconds("0.3333333333333333333333333333"), 333333333ns);
    EXPECT_EQ(parse_duration("0.5d"), 12h);
    EXPECT_EQ(parse_duration("10000d"), 240000h) << "the longest";
    EXPECT_EQ(parse_duration("10000.1d"), std::nullopt);
    EXPECT_EQ(parse_seconds("99999999999999999999999"), std::nullopt);
    EXPECT_EQ(parse_seconds("."), std::nullopt);
    for (const char* wrong : {"", "3s", "-1", "+1", "1e9", "nan", "inf", " 1"}) {
        EXPECT_EQ(parse_seconds(wrong), std::nullopt) << wrong;
    }
}

TEST(duration, is_shown_in_its_two_largest_units) {
    EXPECT_EQ(format_duration(-5s), "0ms");
    EXPECT_EQ(format_duration(250ms), "250ms");
    EXPECT_EQ(format_duration(1500ms), "1.5s");
    EXPECT_EQ(format_duration(59900ms), "59s");
    EXPECT_EQ(format_duration(250s), "4m 10s");
    EXPECT_EQ(format_duration(3h), "3h");
    EXPECT_EQ(format_duration(51h + 59min), "2d 3h");
}

TEST(exit_code, follows_the_table) {
    EXPECT_EQ(exit_code_for(errc::busy), 75);
    EXPECT_EQ(exit_code_for(errc::timed_out), 75);
    EXPECT_EQ(exit_code_for(errc::lost), 79);
    EXPECT_EQ(exit_code_for(errc::misuse), 64);
    EXPECT_EQ(exit_code_for(errc::unavailable), 69);
    EXPECT_EQ(exit_code_for(errc::unknown_outcome), 69);
    EXPECT_EQ(exit_code_for(errc::level_not_met), 69);
    EXPECT_EQ(exit_code_for(errc::unauthorized), 77);
    EXPECT_EQ(exit_code_for(errc::config), 78);
    EXPECT_EQ(exit_code_for_exec(ENOENT), 127);
    EXPECT_EQ(exit_code_for_exec(EACCES), 126);
    EXPECT_EQ(exit_code_for_exec(ENOEXEC), 126);
    EXPECT_EQ(exit_code_for_exec(E2BIG), 126);
}

TEST(utf8, refuses_what_is_not_well_formed) {
    EXPECT_TRUE(is_utf8("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x92"));
    EXPECT_TRUE(is_utf8(""));
    EXPECT_TRUE(is_utf8("a\0b"s));
    for (const char* wrong : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                              "\xf8\x88\x80\x80\x80", "\xe2\x82"}) {
        EXPECT_FALSE(is_utf8(wrong)) << printable(wrong);
    }
}

TEST(printable, lets_no_terminal_control_through) {
    EXPECT_EQ(printable("caf\xc3\xa9"), "caf\xc3\xa9");
    EXPECT_EQ(printable("a\x1b[31mb\n"), "a\\x1b[31mb\\x0a");
    EXPECT_EQ(printable("\xc2\x9b\x7f"), "\\xc2\\x9b\\x7f");
    EXPECT_EQ(printable("\xff"), "\\xff");
}

TEST(shortened, never_cuts_a_character) {
    EXPECT_EQ(shortened("ab\xe2\x82\xac", 4), "ab");
    EXPECT_EQ(shortened("ab\xe2\x82\xac", 5), "ab\xe2\x82\xac");
    EXPECT_EQ(shortened("abc", 2), "ab");
}

TEST(base64, pads) {
    EXPECT_EQ(base64(""), "");
    EXPECT_EQ(base64("f"), "Zg==");
    EXPECT_EQ(base64("fo"), "Zm8=");
    EXPECT_EQ(base64("foo"), "Zm9v");
    EXPECT_EQ(base64("\xff\xfe\xfd\xfc"), "//79/A==");
}

} // namespace
} // namespace holdfast::cli
