#include "support/temp_dir.hpp"

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

namespace holdfast::testing {

temp_dir::temp_dir(std::string_view prefix) {
    const char* base =
        std::getenv("TMPDIR"); // NOLINT(concurrency-mt-unsafe): no test changes its own environment.
    std::string pattern = (base != nullptr && *base != '\0') ? base : "/tmp";
    pattern.append("/").append(prefix).append("-XXXXXX");
    if (::mkdtemp(pattern.data()) == nullptr) {
        throw std::system_error(errno, std::generic_category(), "mkdtemp " + pattern);
    }
    path_ = pattern;
}

temp_dir::~temp_dir() {
    std::error_code ignored; // A server that is just dying may still write here; the folder is in the
                             // temporary place anyway.
    std::filesystem::remove_all(path_, ignored);
}

} // namespace holdfast::testing
