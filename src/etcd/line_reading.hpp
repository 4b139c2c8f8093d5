// Reading everything below a prefix, in pages, all at one revision. Keys only, unless the line is found to
// have been resized, which its values alone tell. No state of its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "messages.hpp"
#include "rpc.hpp"

namespace holdfast::etcd {

/// Keys below one prefix that are read at most; more than any line of ours may have.
inline constexpr std::size_t max_keys_read = 200'000;

/// What was there, or why it could not be read.
struct line_reading {
    outcome failure; ///< Not ok: there is no reading.
    std::vector<key_value> keys;
    std::int64_t revision = 0;
};
/// revision 0: now. Does not block. `done` is called once, on a thread of the transport's.
void read_line(transport& calls, const std::string& prefix, std::int64_t revision, instant deadline,
               std::function<void(line_reading)> done);

/// The same, with all values, for a caller who waits.
line_reading read_values(transport& calls, const std::string& prefix, instant give_up);
/// The same without values.
line_reading read_keys(transport& calls, const std::string& prefix, instant give_up);

} // namespace holdfast::etcd
