// A server, and programs that use it.
#pragma once

#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <holdfast/holdfast.hpp>

#include "raw_client.hpp"
#include "support/ports.hpp"
#include "support/servers.hpp"
#include "support/wait_for.hpp"

namespace holdfast::testing {

using namespace std::chrono_literals;

/// One server for the tests of a file that leave it as it was.
class on_redis : public ::testing::Test {
  protected:
    static void SetUpTestSuite() { server_ = std::make_unique<redis_server>(); }
    static void TearDownTestSuite() { server_.reset(); }

    void SetUp() override { raw_({"FLUSHALL"}); }

    static locks connect(options how = {}) { return holdfast::connect(server_->url(), std::move(how)); }
    static redis_server& server() { return *server_; }

    /// How many clients of ours with this name the server has.
    std::size_t clients(const std::string& name) {
        const std::string list = raw_.text({"CLIENT", "LIST"});
        std::size_t count = 0;
        for (std::size_t at = 0; (at = list.find("name=" + name + " ", at)) != std::string::npos; ++at) {
            ++count;
        }
        return count;
    }

    /// Waits until somebody of ours stands in the line of this name.
    bool somebody_waits(const std::string& name, long long how_many = 1) {
        return wait_for(
            [&] {
                return raw_.number({"LLEN", "holdfast:{" + name + "}:" + name + ":l"}) == how_many;
            },
            5s);
    }

    raw_client raw_{server_->port()};

  private:
    inline static std::unique_ptr<redis_server> server_;
};

inline errc code_of(const result<held>& outcome) {
    return outcome ? errc{} : outcome.error().code();
}

} // namespace holdfast::testing
