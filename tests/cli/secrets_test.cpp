// A password is seen by the server, and by nobody else: not in output, not in messages, not by the command.
#include "command.hpp"

#include <csignal>
#include <cstring>

#include "support/ports.hpp"
#include "support/servers.hpp"
#include "support/wait_for.hpp"

namespace holdfast::cli {
namespace {

using holdfast::testing::etcd_server;
using holdfast::testing::process_options;
using holdfast::testing::redis_server;
using holdfast::testing::run_process;

constexpr const char* password = "s3cr3t-Pa55";

class secrets : public command_test {
  protected:
    std::string plain_url() const { return "redis://127.0.0.1:" + std::to_string(server_.port()); }
    std::string full_url() const {
        return "redis://:" + std::string(password) + "@127.0.0.1:" + std::to_string(server_.port());
    }

    /// Everything that a run lets others see, the command's own view of itself included.
    std::string seen_by_others(const std::string& shell_line, const process_options& how) const {
        const auto done = run_process({"bash", "-c", shell_line}, bound, how);
        EXPECT_EQ(done.status.code, 0) << done.err;
        EXPECT_NE(done.out.find("HOLDFAST_TOKEN="), std::string::npos) << done.out;
        return done.out + done.err;
    }

    /// Prints its environment, its arguments, and what it can read from the descriptors it was given.
    static std::string prying() {
        return " -- bash -c 'cat /proc/$$/environ /proc/$$/cmdline;  "
               "for fd in /proc/self/fd/*; do [[ ${fd##*/} -lt 3 ]] || timeout 1 cat $fd; done 2>/dev/null; "
               "true'";
    }

    void expect_secret(const std::string& text) const {
        EXPECT_EQ(text.find(password), std::string::npos) << text;
    }

    redis_server server_{{"--requirepass", password}};
};

TEST_F(secrets, in_the_urls_of_environment_and_configuration_file_stay_there) {
    auto how = surroundings();
    how.env[0].second = full_url();
    const std::string command = std::string(HOLDFAST_PROGRAM) + " run -v --status-fd 2 n" + prying();
    expect_secret(seen_by_others(command, how));
    for (const char* asked : {"ls", "ls --json", "show n", "show --json n", "doctor", "doctor --json",
                              "break --yes n", "resize n 2"}) {
        const auto done =
            run_process({"bash", "-c", std::string(HOLDFAST_PROGRAM) + " -v " + asked}, bound, how);
        EXPECT_NE(done.status.code, 77) << done.err;
        expect_secret(done.out + done.err);
    }
    how.env.emplace_back("REDISCLI_AUTH", password); // For the command's own use.
    const auto nested =
        run_process(holdfast({"run", "n", HOLDFAST_PROGRAM, "run", "-w", "5", "n", "true"}), bound, how);
    EXPECT_EQ(nested.status.code, 64) << "without the password it is the same store: " << nested.err;
    how.env.pop_back();
    std::filesystem::create_directory(folder_ / "holdfast");
    std::ofstream(folder_ / "holdfast/config.toml") << "url = \"" << full_url() << "\"\n";
    how.env.erase(how.env.begin());
    how.unset_env.push_back("HOLDFAST_URL");
    expect_secret(seen_by_others(command, how));
    std::ofstream(folder_ / "holdfast/config.toml") << "url = " << full_url() << "\n";
    const auto malformed = run_process({"bash", "-c", command}, bound, how);
    EXPECT_EQ(malformed.status.code, 78);
    expect_secret(malformed.err);
}

TEST_F(secrets, of_a_url_among_the_arguments_are_hidden_as_soon_as_they_are_read) {
    for (const std::string& flag : {"--url=" + full_url(), "--url " + full_url()}) {
        const auto done = run_process(
            {"bash", "-c",
             std::string(HOLDFAST_PROGRAM) + " run -v " + flag +
                 " n -- bash -c '"
                 "read -r _ _ _ keeper _ < /proc/$PPID/stat; cat /proc/{$$,$PPID,$keeper}/cmdline'"},
            bound, surroundings());
        EXPECT_EQ(done.status.code, 0) << done.err;
        EXPECT_NE(done.out.find("redis://:" + std::string(std::strlen(password), '*') + "@127.0.0.1"),
                  std::string::npos)
            << done.out;
        expect_secret(done.out + done.err);
    }
}

TEST_F(secrets, by_file_and_by_descriptor_are_not_for_the_command) {
    std::ofstream(file("password")) << password << "\n";
    const std::string run =
        std::string(HOLDFAST_PROGRAM) + " run -v --url " + plain_url() + " --password-file ";
    expect_secret(seen_by_others(run + file("password") + " n" + prying(), surroundings()));
    expect_secret(seen_by_others(run + "/dev/fd/9 n" + prying() + " 9< " + file("password"), surroundings()));
    expect_secret(seen_by_others(run + "<(cat " + file("password") + ") n" + prying(), surroundings()));
    std::filesystem::create_directory(folder_ / "holdfast");
    std::ofstream(folder_ / "holdfast/config.toml")
        << "url = \"" << plain_url() << "\"\npassword_file = \"" << file("password") << "\"\n";
    auto how = surroundings();
    how.env.erase(how.env.begin());
    how.unset_env.push_back("HOLDFAST_URL");
    expect_secret(seen_by_others(std::string(HOLDFAST_PROGRAM) + " run -v n" + prying(), how));
}

TEST_F(secrets, of_redis_may_be_in_the_variable_that_redis_cli_reads) {
    auto how = surroundings();
    how.env[0].second = plain_url();
    how.env.emplace_back("REDISCLI_AUTH", password);
    const auto allowed = run_process(holdfast({"run", "-v", "n", "true"}), bound, how);
    EXPECT_EQ(allowed.status.code, 0) << allowed.err;
    expect_secret(allowed.err);
    how.env.back().second = "wrong";
    EXPECT_EQ(run_process(holdfast({"run", "n", "true"}), bound, how).status.code, 77);
    how.env[0].second = full_url();
    EXPECT_EQ(run_process(holdfast({"run", "n", "true"}), bound, how).status.code, 0)
        << "the URL's password comes first";
}

TEST_F(secrets, of_etcd_are_kept_as_well_wherever_they_come_from) {
    etcd_server etcd;
    const auto etcdctl = [&etcd](words arguments) {
        arguments.insert(arguments.begin(), {"etcdctl", "--endpoints", etcd.endpoint()});
        const auto done = run_process(arguments, bound, {.env = {{"ETCDCTL_API", "3"}}});
        ASSERT_EQ(done.status.code, 0) << done.err;
    };
    etcdctl({"user", "add", "root:" + std::string(password)});
    etcdctl({"user", "grant-role", "root", "root"});
    etcdctl({"auth", "enable"});

    auto how = surroundings();
    how.env[0].second = "etcd://root:" + std::string(password) + "@" + etcd.endpoint();
    expect_secret(seen_by_others(std::string(HOLDFAST_PROGRAM) + " run -v --status-fd 2 n" + prying(), how));
    for (const char* asked : {"ls", "show --json n", "doctor --json", "break --yes n", "resize n 2"}) {
        const auto done =
            run_process({"bash", "-c", std::string(HOLDFAST_PROGRAM) + " -v " + asked}, bound, how);
        EXPECT_EQ(done.status.code, 0) << asked << done.err;
        expect_secret(done.out + done.err);
    }
    std::ofstream(file("password")) << password << "\n";
    how.env[0].second = "etcd://root@" + etcd.endpoint();
    expect_secret(seen_by_others(std::string(HOLDFAST_PROGRAM) + " run -v --password-file <(cat " +
                                     file("password") + ") n" + prying(),
                                 how));
    how.env[0].second = "etcd://root:not-" + std::string(password) + "@" + etcd.endpoint();
    const auto refused = run_process(holdfast({"run", "-v", "n", "true"}), bound, how);
    EXPECT_EQ(refused.status.code, 77) << refused.err;
    expect_secret(refused.err);

    // etcdctl's own variables; the command inherits them as it does all others.
    how.env[0].second = "etcd://";
    how.env.emplace_back("ETCDCTL_ENDPOINTS", etcd.endpoint());
    how.env.emplace_back("ETCDCTL_USER", "root");
    how.env.emplace_back("ETCDCTL_PASSWORD", password);
    const auto allowed = run_process(holdfast({"run", "-v", "n", "true"}), bound, how);
    EXPECT_EQ(allowed.status.code, 0) << allowed.err;
    expect_secret(allowed.err);
    how.env.pop_back();
    how.env.back().second = "root:" + std::string(password);
    for (const char* asked : {"run -v n true", "ls --json", "doctor"}) {
        const auto done =
            run_process({"bash", "-c", std::string(HOLDFAST_PROGRAM) + " " + asked}, bound, how);
        EXPECT_EQ(done.status.code, 0) << done.err;
        expect_secret(done.out + done.err);
    }
}

TEST_F(secrets, are_not_in_any_message_about_a_store_that_does_not_answer) {
    const std::string port = std::to_string(holdfast::testing::free_port());
    for (const std::string& url : {"redis://ann:" + std::string(password) + "@127.0.0.1:" + port,
                                   "etcd://ann:" + std::string(password) + "@127.0.0.1:" + port,
                                   "zk://ann:" + std::string(password) + "@h"}) {
        auto how = surroundings();
        how.env[0].second = url;
        for (const words& asked : {words{"run", "-v", "n", "true"}, words{"ls"}, words{"doctor", "--json"}}) {
            words all = asked;
            all.insert(all.begin() + 1, {"--timeout", "300ms"});
            const auto refused = run_process(holdfast(all), bound, how);
            EXPECT_NE(refused.status.code, 0);
            expect_secret(refused.out + refused.err);
        }
    }
    auto wrong = surroundings();
    wrong.env[0].second =
        "redis://:not-" + std::string(password) + "@127.0.0.1:" + std::to_string(server_.port());
    const auto refused = run_process(holdfast({"run", "n", "true"}), bound, wrong);
    EXPECT_EQ(refused.status.code, 77) << refused.err;
    expect_secret(refused.err);
}

} // namespace
} // namespace holdfast::cli
