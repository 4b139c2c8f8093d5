// The worker side of the lines with several processes, and the memory that its processes share.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::bench {

/// In a file that all workers of a contender map. Tells hand-overs from free turns, and shows whether two
/// were in.
struct board {
    std::atomic<std::uint32_t> last_holder;
    std::atomic<std::uint32_t> wanting; ///< Workers between the call of acquire and the call of release.
    std::atomic<std::uint32_t> inside;
    std::atomic<std::uint32_t> collisions; ///< Turns that began while another lasted.
    std::atomic<std::int64_t> released_at; ///< When the last holder called release, CLOCK_MONOTONIC in ns.
};

/// Maps the file, which is made where missing. It stays mapped until the process ends.
board& map_board(const std::string& path);

/// holdfast_bench --worker KIND WHERE NAME THREADS INDEX BOARD
///
/// Says "ready" when connected, then obeys, one line each, until its input ends:
///   go MS [HOLD_US] -> "done T:H:C ... waits BUCKET:COUNT ... passes BUCKET:COUNT ..."  all threads took
///   turns
///               for MS, each held for so long (0 where not said; less than 50 us awake, else asleep); T
///               turns, H of them after another worker, C of them contended, for each thread. Workers in
///               other languages tell no passes.
///   received -> "received BYTES"  what has come in on the TCP connections that are open now
///   fill MB  -> "filled"        so much memory is resident from then on
///   acquire  -> "acquired NS"   CLOCK_MONOTONIC when acquire returned; the first thread's
///   release  -> "released NS"   CLOCK_MONOTONIC when release was called
/// Returns the process's exit code.
int run_worker(const std::vector<std::string>& arguments);

} // namespace holdfast::bench
