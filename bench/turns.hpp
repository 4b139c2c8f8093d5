// The C16 line, on any store: 16 threads of one process and one name, with bounded hand-over among them and
// without.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "checks.hpp"
#include "crew.hpp"
#include "frame.hpp"

namespace holdfast::bench {

/// What contends on the line, each with a name of its own.
class c16 {
  public:
    /// The boards of the workers lie in this folder.
    c16(const std::string& url, const std::filesystem::path& folder);

    /// Measures our two forms, the peer, which may be null, and more peers; fills the entrants in this order.
    void measure(finding& into, std::chrono::nanoseconds budget, const std::string& peer_name, crew* peer,
                 const std::vector<contender>& more = {});

  private:
    std::unique_ptr<crew> plain_;
    std::unique_ptr<crew> in_turns_;
};

} // namespace holdfast::bench
