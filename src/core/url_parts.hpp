// A URL cut into its parts, and the half of reading it that only stores with hosts need.
//
// That half uses Boost.URL, whose archive brings the standard streams and their initialisation into every
// program that links it. The command for the local store would pay for that at each start, so the half is a
// symbol that src/core/url.cpp refers to weakly and the network stores refer to strongly, as
// src/stores.cpp does with the stores themselves.
#pragma once

#include <string>

#include "factory.hpp"

namespace holdfast::core {

/// The parts of the text, cut but not decoded.
struct url_parts {
    std::string scheme;
    std::string userinfo; ///< With its '@'.
    std::string hosts;
    std::string rest; ///< Path and query.
    bool has_authority = false;
};

/// The error of a URL that cannot be read.
inline error bad_url(const std::string& shown, const std::string& what) {
    return {errc::config, "bad URL '" + shown + "': " + what};
}

/// Fills in endpoints, user, password, path and query; scheme and `redacted` are there. Errors: config.
using host_reader = result<void> (*)(const url_parts& parts, store_url& url);

} // namespace holdfast::core

extern "C" {
[[gnu::weak]] extern const holdfast::core::host_reader holdfast_host_reader;
}
