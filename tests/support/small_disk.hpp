#pragma once
// A file system of its own that only a test can fill: a tmpfs in the mount namespace of a process that keeps
// it, which ends with the object. As root it needs no user namespace.
//
// One thread uses it, and it must outlive no thread that made it (see support/process.hpp).

#include <filesystem>
#include <memory>

#include "support/process.hpp"

namespace holdfast::testing {

class small_disk {
  public:
    /// Throws std::runtime_error without the right to mount a tmpfs.
    explicit small_disk(unsigned mebibytes);

    [[nodiscard]] std::filesystem::path path() const;
    /// Leaves no byte free. May be called again, where somebody else has made room since.
    void fill() const;
    void make_room() const;

  private:
    std::unique_ptr<child_process> keeper_;
};

} // namespace holdfast::testing
