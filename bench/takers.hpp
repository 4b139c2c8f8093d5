// Ways of taking turns that a worker process knows: ours and the peers that are written in C++.
#pragma once

#include <functional>
#include <memory>
#include <string>

namespace holdfast::bench {

/// One thread's way in and out. Throws when it fails: a benchmark that goes on without its lock measures
/// nothing.
class turn_taker {
  public:
    virtual ~turn_taker() = default;
    virtual void acquire() = 0;
    virtual void release() = 0;
};

using taker_maker = std::function<std::unique_ptr<turn_taker>()>;

/// kind             | where  | what it does
/// "holdfast"       | a URL  | acquire() and release() of one mutex object that the process's threads share
/// "holdfast-turns" | a URL  | the same, with mutex_options::local_hand_over of 50 ms
/// "holdfast-each"  | a URL  | the same without it; every thread has a name of its own
/// "holdfast-own"   | a URL  | the same; the threads of a process share a name that no other process uses
/// "flock"          | a file | flock(2); every thread has its own open file
/// "etcd-plain"     | host:port | etcd_bare::shape::plain; every thread has a connection and a key of its own
/// "etcd-same"      | host:port | etcd_bare::shape::as_ours
/// "ofd"            | a file | fcntl(2) with F_OFD_SETLKW; every thread has its own open file
/// "redis-queue"    | a port | BLPOP and RPUSH of one token; every thread has its own connection
/// "redis-bare-each" | a port | SET NX PX and compare-and-delete; every thread has a connection and a name of
/// its own Throws std::runtime_error for a kind that this build does not have. `process`: which of the line's
/// it is.
taker_maker takers(const std::string& kind, const std::string& where, const std::string& name,
                   const std::string& process = "0");

} // namespace holdfast::bench
