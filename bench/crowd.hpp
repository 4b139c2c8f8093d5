// One process with many names: what each hold and each waiting coroutine costs. Any store.
#pragma once

#include <string>
#include <vector>

namespace holdfast::bench {

/// holdfast_bench --crowd URL COUNT TTL_MS
///
/// Says "held BYTES THREADS" when it holds COUNT names; then obeys, one line each, until its input ends:
///   wait -> "waiting BYTES THREADS"  as many coroutines wait for these names, through a connection of theirs
///   free -> "woken COUNT"            one name was released; so many were granted within the second after
/// BYTES is what each has added to the memory of the process; THREADS is how many it has.
/// Returns the process's exit code.
int run_crowd(const std::vector<std::string>& arguments);

} // namespace holdfast::bench
