// One blocking connection to Redis by hiredis, and what peers and limits send over it.
//
// One thread uses a connection. Every reply is awaited for at most 30 s; errors and error replies throw
// std::runtime_error.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "takers.hpp"

struct redisContext;

namespace holdfast::bench {

using command = std::vector<std::string>;

class redis_wire {
  public:
    explicit redis_wire(int port);

    /// Sends the commands in one write and awaits all replies; the integer (or 0) of the first.
    long long send(const std::vector<command>& commands);
    /// One command's reply as text.
    std::string text(const command& what);
    /// After MONITOR: the next line that the server shows.
    std::string next_line();

  private:
    struct closer {
        void operator()(redisContext* context) const noexcept;
    };
    void append(const command& what);
    std::unique_ptr<redisContext, closer> context_;
};

/// What ours sends for one acquire and one release of a free name, as the server saw it.
struct captured_cycle {
    std::vector<command> acquire;
    std::vector<command> release;
};

/// Runs the two while MONITOR watches. Commands of scripts and of the session's upkeep are left out by their
/// kind.
captured_cycle capture(int port, const std::string& name, turn_taker& ours);

/// The words of one line of MONITOR; empty when a script issued the command.
command words_of(const std::string& monitor_line);

/// A queue of one token: BLPOP takes it, RPUSH gives it back. Nothing ends by itself: a dead holder keeps it.
std::unique_ptr<turn_taker> make_redis_queue(int port, const std::string& name);

/// The classic lock, which nobody waits for: SET NX PX takes it, a script that compares the value deletes it.
std::unique_ptr<turn_taker> make_redis_bare(int port, const std::string& name);

/// The script of that.
inline constexpr const char* compare_and_delete =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

} // namespace holdfast::bench
