// etcd by plain blocking gRPC calls, as a program would make them that needs nothing else: the limit for one
// thread.
//
// One thread uses it. Failures throw std::runtime_error.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace holdfast::bench {

class etcd_bare {
  public:
    /// endpoint: host:port. Grants one lease for all its cycles.
    explicit etcd_bare(const std::string& endpoint);
    ~etcd_bare();
    etcd_bare(const etcd_bare&) = delete;
    etcd_bare& operator=(const etcd_bare&) = delete;

    /// A transaction that puts the key under the lease if it is not there, then a deletion of the key.
    void cycle();

  private:
    struct channel;
    std::string call(const char* method, const std::string& request);
    std::unique_ptr<channel> channel_;
    std::string put_if_absent_;
    std::string erase_;
};

} // namespace holdfast::bench
