#pragma once
// A folder of a test's own, under $TMPDIR or /tmp, mode 0700, removed with everything in it at the end.
// Not copyable; one thread owns it. A test that is killed leaves its folder behind.

#include <filesystem>
#include <string_view>

namespace holdfast::testing {

class temp_dir {
  public:
    /// Throws std::system_error when the folder cannot be made.
    explicit temp_dir(std::string_view prefix = "holdfast-test");
    ~temp_dir();
    temp_dir(const temp_dir&) = delete;
    temp_dir& operator=(const temp_dir&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    [[nodiscard]] std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

  private:
    std::filesystem::path path_;
};

} // namespace holdfast::testing
