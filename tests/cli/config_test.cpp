#include "cli/config.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "cli/commands.hpp"
#include "support/temp_dir.hpp"

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

std::string config_refusal(std::string_view text) {
    try {
        parse_config(text, "f");
    } catch (const config_error& wrong) {
        return wrong.what();
    }
    return "";
}

TEST(config, reads_keys_comments_and_both_kinds_of_quotes) {
    const config_file file = parse_config("# where\nurl = \"etcd://a:2379\" # here\r\n\n  ttl='20s'\n"
                                          "key = \"a\\\\b\\\"c#d\"",
                                          "f");
    EXPECT_EQ(file.url, "etcd://a:2379");
    EXPECT_EQ(file.ttl, "20s");
    EXPECT_EQ(file.key, "a\\b\"c#d");
    EXPECT_EQ(file.cert, std::nullopt);
}

TEST(config, refuses_what_it_does_not_know_and_names_the_line) {
    EXPECT_EQ(config_refusal("\nulr = \"local:\"").substr(0, 24), "f:2: unknown key 'ulr'; ");
    EXPECT_EQ(config_refusal("[section]"), "f:1: expected a line like url = \"local:\"");
    EXPECT_EQ(config_refusal("url = local:"), "f:1: the value of 'url' must be one string in quotes");
    EXPECT_EQ(config_refusal("url = \"local:\" x"), "f:1: the value of 'url' must be one string in quotes");
    EXPECT_EQ(config_refusal("url = \"local:"), "f:1: the value of 'url' must be one string in quotes");
    EXPECT_EQ(config_refusal("url = \"a\\nb\""), "f:1: the value of 'url' must be one string in quotes");
    EXPECT_EQ(config_refusal("url='a'\nurl='b'"), "f:2: 'url' is given twice");
}

TEST(config, never_shows_a_value) {
    EXPECT_EQ(config_refusal("url = redis://:hunter2@h").find("hunter2"), std::string::npos);
}

TEST(config, is_the_users_file_or_else_the_machines) {
    const holdfast::testing::temp_dir folder;
    const std::string of_machine = (folder / "holdfast.toml").string();
    std::ofstream(of_machine) << "url = \"local:/machine\"\n";
    ::setenv("XDG_CONFIG_HOME", (folder / "xdg").c_str(), 1);
    ::setenv("HOME", folder.path().c_str(), 1);
    EXPECT_EQ(read_config_file(false, of_machine).url, "local:/machine");
    EXPECT_EQ(read_config_file(false, (folder / "none").string()).url, std::nullopt);
    std::filesystem::create_directories(folder / "xdg/holdfast");
    std::ofstream(folder / "xdg/holdfast/config.toml") << "url = \"local:/xdg\"\n";
    EXPECT_EQ(read_config_file(false, of_machine).url, "local:/xdg");
    ::unsetenv("XDG_CONFIG_HOME");
    EXPECT_EQ(read_config_file(false, of_machine).url, "local:/machine");
    std::filesystem::create_directories(folder / ".config/holdfast");
    std::ofstream(folder / ".config/holdfast/config.toml") << "url = \"local:/home\"\n";
    EXPECT_EQ(read_config_file(false, of_machine).url, "local:/home");
}

TEST(url, comes_from_flag_then_environment_then_file) {
    config_file file;
    EXPECT_EQ(choose_url("", nullptr, file).url, "local:");
    file.url = "etcd://file";
    EXPECT_EQ(choose_url("", nullptr, file).url, "etcd://file");
    EXPECT_EQ(choose_url("", "", file).url, "etcd://file");
    EXPECT_EQ(choose_url("", "etcd://env", file).url, "etcd://env");
    EXPECT_EQ(choose_url("etcd://flag", "etcd://env", file).url, "etcd://flag");
}

TEST(url, of_another_source_does_not_get_the_files_credentials) {
    config_file file;
    file.url = "redis://file";
    file.password_file = "/secret";
    file.timeout = "7s";
    EXPECT_EQ(resolve_settings({}, file, nullptr).how.password_file, "/secret");
    const settings elsewhere = resolve_settings({}, file, "redis://elsewhere");
    EXPECT_EQ(elsewhere.how.password_file, "");
    EXPECT_EQ(elsewhere.how.op_timeout, 7s);
}

TEST(settings, take_the_flag_before_the_file) {
    config_file file;
    file.ttl = "20s";
    EXPECT_EQ(resolve_settings({}, file, nullptr).how.ttl, 20s);
    command_line line;
    line.run.ttl = 30s;
    EXPECT_EQ(resolve_settings(line, file, nullptr).how.ttl, 30s);
    file.ttl = "20";
    EXPECT_THROW(resolve_settings({}, file, nullptr), config_error);
}

TEST(scheme, tells_network_stores_from_the_local_one) {
    EXPECT_EQ(url_scheme("etcd://h"), "etcd");
    EXPECT_EQ(url_scheme("nothing"), "");
    EXPECT_TRUE(is_network_scheme("redis"));
    EXPECT_TRUE(is_network_scheme("etcds"));
    EXPECT_FALSE(is_network_scheme("local"));
    EXPECT_FALSE(is_network_scheme("http"));
}

} // namespace
} // namespace holdfast::cli
