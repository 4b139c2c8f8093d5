#include "cli/argv.hpp"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

using words = std::vector<std::string>;

const std::vector<option_shape> known{{"nonblock", {"nb"}, {'n'}, false},
                                      {"wait", {}, {'w'}, true},
                                      {"exclusive", {}, {'x', 'e'}, false},
                                      {"ttl", {}, {}, true},
                                      {"url", {}, {}, true}};

struct cut_case {
    const char* what;
    words arguments;
    std::vector<option_use> options;
    words name;
    words rest;
};

class run_arguments : public testing::TestWithParam<cut_case> {};

TEST_P(run_arguments, are_cut_where_the_command_begins) {
    const cut_argv parts = cut(GetParam().arguments, known, 1);
    EXPECT_EQ(parts.options, GetParam().options);
    EXPECT_EQ(parts.words, GetParam().name);
    EXPECT_EQ(parts.rest, GetParam().rest);
}

INSTANTIATE_TEST_SUITE_P(
    cut, run_arguments,
    testing::Values(
        cut_case{"plain", {"N", "ls"}, {}, {"N"}, {"ls"}},
        cut_case{"the_commands_options_stay_its_own", {"N", "ls", "-l"}, {}, {"N"}, {"ls", "-l"}},
        cut_case{"the_commands_url_stays_its_own", {"N", "ls", "--url=x"}, {}, {"N"}, {"ls", "--url=x"}},
        cut_case{"double_dash_before_the_command", {"N", "--", "ls", "-l"}, {}, {"N"}, {"ls", "-l"}},
        cut_case{"a_command_that_looks_like_an_option", {"N", "--", "-n"}, {}, {"N"}, {"-n"}},
        cut_case{"a_second_double_dash_is_the_commands",
                 {"N", "--", "git", "--", "x"},
                 {},
                 {"N"},
                 {"git", "--", "x"}},
        cut_case{"a_double_dash_inside_the_command", {"N", "git", "--", "x"}, {}, {"N"}, {"git", "--", "x"}},
        cut_case{"double_dash_before_the_name", {"--", "-N", "ls"}, {}, {"-N"}, {"ls"}},
        cut_case{"after_an_early_double_dash_all_is_words", {"--", "N", "-n"}, {}, {"N"}, {"-n"}},
        cut_case{"double_dashes_before_the_name_and_the_command",
                 {"--", "-N", "--", "ls", "--", "-l"},
                 {},
                 {"-N"},
                 {"ls", "--", "-l"}},
        cut_case{"option_before_the_name", {"-n", "N", "ls"}, {{"nonblock", {}}}, {"N"}, {"ls"}},
        cut_case{"option_after_the_name", {"N", "-n", "ls"}, {{"nonblock", {}}}, {"N"}, {"ls"}},
        cut_case{"value_in_the_next_word", {"-w", "5", "N", "ls"}, {{"wait", "5"}}, {"N"}, {"ls"}},
        cut_case{"value_in_the_same_word", {"-w5", "N", "ls"}, {{"wait", "5"}}, {"N"}, {"ls"}},
        cut_case{"letters_together",
                 {"-xnw5", "N"},
                 {{"exclusive", {}}, {"nonblock", {}}, {"wait", "5"}},
                 {"N"},
                 {}},
        cut_case{"a_value_that_looks_like_an_option", {"-w", "-1", "N"}, {{"wait", "-1"}}, {"N"}, {}},
        cut_case{"a_value_that_is_a_double_dash", {"--ttl", "--", "N"}, {{"ttl", "--"}}, {"N"}, {}},
        cut_case{"long_with_equals", {"--ttl=5s", "N"}, {{"ttl", "5s"}}, {"N"}, {}},
        cut_case{"long_with_an_empty_value", {"--ttl=", "N"}, {{"ttl", ""}}, {"N"}, {}},
        cut_case{"a_value_with_equals", {"--url=local:/a=b", "N"}, {{"url", "local:/a=b"}}, {"N"}, {}},
        cut_case{"alias", {"--nb", "N"}, {{"nonblock", {}}}, {"N"}, {}},
        cut_case{"other_letter", {"-e", "N"}, {{"exclusive", {}}}, {"N"}, {}},
        cut_case{"a_single_dash_is_a_word", {"-", "ls"}, {}, {"-"}, {"ls"}},
        cut_case{"an_empty_name", {"", "ls"}, {}, {""}, {"ls"}},
        cut_case{"an_empty_command_word", {"N", "", "x"}, {}, {"N"}, {"", "x"}},
        cut_case{"nothing", {}, {}, {}, {}}),
    [](const auto& info) { return std::string(info.param.what); });

std::string cut_refusal(const words& arguments) {
    try {
        cut(arguments, known, 1);
    } catch (const usage_error& wrong) {
        return wrong.what();
    }
    return "";
}

TEST(cut, refuses_an_unknown_option_and_names_the_nearest) {
    EXPECT_EQ(cut_refusal({"--tll", "5s", "N"}), "unknown option '--tll'; did you mean '--ttl'?");
    EXPECT_EQ(cut_refusal({"--nonbolck", "N"}), "unknown option '--nonbolck'; did you mean '--nonblock'?");
    EXPECT_EQ(cut_refusal({"--colour", "N"}), "unknown option '--colour'");
    EXPECT_EQ(cut_refusal({"-nz", "N"}), "unknown option '-z'");
}

TEST(cut, refuses_a_missing_and_an_unwanted_value) {
    EXPECT_EQ(cut_refusal({"N", "-w"}), "option '-w' needs a value");
    EXPECT_EQ(cut_refusal({"--ttl"}), "option '--ttl' needs a value");
    EXPECT_EQ(cut_refusal({"--nonblock=yes", "N"}), "option '--nonblock' takes no value");
}

TEST(nearest, counts_a_swap_of_neighbours_once) {
    EXPECT_EQ(nearest("rnu", {"run", "ls"}), "run");
    EXPECT_EQ(nearest("sl", {"run", "ls"}), "ls");
    EXPECT_EQ(nearest("list", {"run", "version"}), std::nullopt);
    EXPECT_EQ(nearest("", {"run"}), std::nullopt);
}

} // namespace
} // namespace holdfast::cli
