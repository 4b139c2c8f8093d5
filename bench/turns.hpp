// The C16 line, on any store: 16 threads of one process and one name, with bounded hand-over among them and
// without.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "checks.hpp"
#include "crew.hpp"

namespace holdfast::bench {

/// What contends on the line, each with a name of its own.
class c16 {
  public:
    /// The boards of the workers lie in this folder.
    c16(const std::string& url, const std::filesystem::path& folder);

    /// Measures our two forms and the peer, which may be null; fills the entrants in this order.
    void measure(finding& into, std::chrono::nanoseconds budget, const std::string& peer_name, crew* peer);

  private:
    std::unique_ptr<crew> plain_;
    std::unique_ptr<crew> in_turns_;
};

} // namespace holdfast::bench
