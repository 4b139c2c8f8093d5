#include "etcd/one_server.hpp"

#include <sstream>

#include "core/factory.hpp"

namespace holdfast::etcd::testing {

std::unique_ptr<store> make_store(const std::string& url, std::chrono::nanoseconds op_timeout) {
    core::store_config config;
    config.url = core::parse_url(url).value();
    config.op_timeout = op_timeout;
    config.ttl = 10s;
    return core::make_store(config).value();
}

std::unique_ptr<store> server_world::connect() {
    auto made = make_store(url_, op_timeout_);
    made->check(now(clock_source::boottime) + 10s).value();
    return made;
}

std::string etcdctl(const etcd_server& server, std::vector<std::string> args) {
    std::vector<std::string> argv{"etcdctl", "--endpoints", server.endpoint()};
    argv.insert(argv.end(), args.begin(), args.end());
    holdfast::testing::process_options options;
    options.env = {{"ETCDCTL_API", "3"}};
    const auto done = holdfast::testing::run_process(argv, 20s, options);
    EXPECT_TRUE(done.status.ok()) << done.err;
    return done.out;
}

void compact(const etcd_server& server) {
    const std::string fields = etcdctl(server, {"get", "nothing", "-w", "fields"});
    const std::string before = "\"Revision\" : ";
    const auto at = fields.find(before) + before.size();
    etcdctl(server, {"compact", fields.substr(at, fields.find('\n', at) - at)});
}

std::vector<std::string> keys_below(const etcd_server& server, const std::string& prefix) {
    std::vector<std::string> out;
    std::istringstream lines(etcdctl(server, {"get", "--prefix", "--keys-only", prefix}));
    for (std::string line; std::getline(lines, line);) {
        if (!line.empty()) {
            out.push_back(line);
        }
    }
    return out;
}

double metric(const etcd_server& server, const std::string& line) {
    const auto done =
        holdfast::testing::run_process({"curl", "-s", "http://" + server.endpoint() + "/metrics"}, 10s, {});
    std::istringstream lines(done.out);
    for (std::string one; std::getline(lines, one);) {
        if (one.starts_with(line)) {
            return std::stod(one.substr(one.rfind(' ')));
        }
    }
    return 0;
}

etcd_server& one_server::server() {
    static etcd_server shared;
    return shared;
}

std::string one_server::fresh(const std::string& stem) const {
    return std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()).substr(0, 60) + "-" +
           stem;
}

} // namespace holdfast::etcd::testing
