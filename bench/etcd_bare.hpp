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
    /// What a cycle asks of the server.
    enum class shape {
        plain,   ///< A transaction that puts the key if it is not there; a deletion.
        as_ours, ///< The same and a look at the line in it; a deletion if it is the key that was put.
    };
    /// endpoint: host:port. Grants one lease for all its cycles.
    etcd_bare(const std::string& endpoint, shape of);
    ~etcd_bare();
    etcd_bare(const etcd_bare&) = delete;
    etcd_bare& operator=(const etcd_bare&) = delete;

    void put();
    void erase();

  private:
    struct channel;
    std::string call(const char* method, const std::string& request);
    std::unique_ptr<channel> channel_;
    const shape shape_;
    std::string key_;
    std::string put_if_absent_;
    std::string erase_;
    std::int64_t put_at_ = 0; ///< The revision of the last put.
};

} // namespace holdfast::bench
