// Redis as somebody who knows nothing of Holdfast sees it: raw commands on one blocking connection.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "redis/resp.hpp"

struct redisContext;

namespace holdfast::testing {

class raw_client {
  public:
    explicit raw_client(std::uint16_t port);
    ~raw_client();
    raw_client(const raw_client&) = delete;
    raw_client& operator=(const raw_client&) = delete;

    /// Sends one command and returns its reply. Throws std::runtime_error when the connection is lost.
    redis::reply operator()(const std::vector<std::string>& words);
    /// Sends now; read() later.
    void send(const std::vector<std::string>& words);
    redis::reply read();

    std::string text(const std::vector<std::string>& words) { return (*this)(words).text; }
    long long number(const std::vector<std::string>& words) { return (*this)(words).integer; }

    /// How many keys are left in the database.
    long long keys() { return number({"DBSIZE"}); }

  private:
    redisContext* connection_;
};

} // namespace holdfast::testing
