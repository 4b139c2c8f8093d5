// Where a line of the etcd store is measured: on one new member or on three, with empty data folders, because
// etcd slows down as it ages. Gone with the object.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "crew.hpp"
#include "support/etcd_cluster.hpp"
#include "support/servers.hpp"

namespace holdfast::bench {

class etcd_place {
  public:
    /// 1 or 3.
    explicit etcd_place(int members);

    /// Of three the leader stands first: who speaks to another member pays for one hop more.
    std::string url() const { return "etcd://" + endpoints_; }
    std::string endpoint() const { return endpoints_.substr(0, endpoints_.find(',')); }
    std::filesystem::path board(const std::string& of) const { return folder_ / ("board-" + of); }
    std::filesystem::path folder() const { return folder_; }

    std::unique_ptr<crew> ours(int processes, int threads, const std::string& kind = "holdfast") const;
    /// Go's concurrency.Mutex, a session for each thread; null when its program was not built.
    std::unique_ptr<crew> go(int processes, int threads, bool own_names = false) const;

  private:
    std::unique_ptr<testing::etcd_server> one_;
    std::unique_ptr<testing::etcd_cluster> three_;
    std::string endpoints_;
    std::filesystem::path folder_;
};

inline constexpr const char* no_go =
    "Go's concurrency.Mutex was not built: it needs golang-go, golang-etcd-server-dev";

} // namespace holdfast::bench
