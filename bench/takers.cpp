#include "takers.hpp"

#include <cerrno>
#include <fcntl.h>
#include <stdexcept>
#include <sys/file.h>
#include <system_error>
#include <unistd.h>

#include <holdfast/holdfast.hpp>

#ifdef HOLDFAST_HAS_ETCD
#include "etcd_bare.hpp"
#endif
#ifdef HOLDFAST_HAS_REDIS
#include "redis_wire.hpp"
#endif

namespace holdfast::bench {
namespace {

class holdfast_taker final : public turn_taker {
  public:
    explicit holdfast_taker(std::shared_ptr<mutex> shared) : mutex_(std::move(shared)) {}
    void acquire() override { held_ = mutex_->acquire().value(); }
    void release() override { held_.release().value(); }

  private:
    std::shared_ptr<mutex> mutex_;
    held held_;
};

class flock_taker final : public turn_taker {
  public:
    explicit flock_taker(const std::string& path)
        : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
        if (fd_ < 0) {
            throw std::system_error(errno, std::generic_category(), path);
        }
    }
    flock_taker(const flock_taker&) = delete;
    flock_taker& operator=(const flock_taker&) = delete;
    ~flock_taker() override { ::close(fd_); }
    void acquire() override { lock(LOCK_EX); }
    void release() override { lock(LOCK_UN); }

  private:
    void lock(int how) {
        if (::flock(fd_, how) != 0) {
            throw std::system_error(errno, std::generic_category(), "flock");
        }
    }
    int fd_;
};

#ifdef HOLDFAST_HAS_ETCD
class etcd_bare_taker final : public turn_taker {
  public:
    etcd_bare_taker(const std::string& endpoint, etcd_bare::shape of) : calls_(endpoint, of) {}
    void acquire() override { calls_.put(); }
    void release() override { calls_.erase(); }

  private:
    etcd_bare calls_;
};
#endif
class ofd_taker final : public turn_taker {
  public:
    explicit ofd_taker(const std::string& path)
        : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
        if (fd_ < 0) {
            throw std::system_error(errno, std::generic_category(), path);
        }
    }
    ofd_taker(const ofd_taker&) = delete;
    ofd_taker& operator=(const ofd_taker&) = delete;
    ~ofd_taker() override { ::close(fd_); }
    void acquire() override { lock(F_WRLCK); }
    void release() override { lock(F_UNLCK); }

  private:
    void lock(short how) {
        struct flock whole {};
        whole.l_type = how;
        whole.l_whence = SEEK_SET;
        if (::fcntl(fd_, F_OFD_SETLKW, &whole) != 0) {
            throw std::system_error(errno, std::generic_category(), "F_OFD_SETLKW");
        }
    }
    int fd_;
};

} // namespace

taker_maker takers(const std::string& kind, const std::string& where, const std::string& name,
                   const std::string& process) {
    if (kind == "holdfast-own") {
        return takers("holdfast", where, name + "-" + process);
    }
    if (kind == "holdfast-each") {
        const locks all = connect(where);
        return [all, stem = name + "-" + process, next = 0]() mutable {
            return std::make_unique<holdfast_taker>(
                std::make_shared<mutex>(all.mutex(stem + "-" + std::to_string(next++))));
        };
    }
    if (kind == "holdfast" || kind == "holdfast-turns") {
        const std::chrono::milliseconds bound(kind == "holdfast" ? 0 : 50);
        const auto shared = std::make_shared<mutex>(connect(where).mutex(name, {.local_hand_over = bound}));
        return [shared] { return std::make_unique<holdfast_taker>(shared); };
    }
    if (kind == "flock") {
        return [where] { return std::make_unique<flock_taker>(where); };
    }
#ifdef HOLDFAST_HAS_ETCD
    if (kind == "etcd-plain" || kind == "etcd-same") {
        const auto of = kind == "etcd-plain" ? etcd_bare::shape::plain : etcd_bare::shape::as_ours;
        return [where, of] { return std::make_unique<etcd_bare_taker>(where, of); };
    }
#endif
    if (kind == "ofd") {
        return [where] { return std::make_unique<ofd_taker>(where); };
    }
#ifdef HOLDFAST_HAS_REDIS
    if (kind == "redis-queue") {
        return [where, name] { return make_redis_queue(std::stoi(where), name); };
    }
    if (kind == "redis-bare-each") {
        return [where, stem = name + "-" + process, next = 0]() mutable {
            return make_redis_bare(std::stoi(where), stem + "-" + std::to_string(next++));
        };
    }
#endif
    throw std::runtime_error("this build cannot take turns by " + kind);
}

} // namespace holdfast::bench
