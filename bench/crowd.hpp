// One process with many names: what each hold and each waiting coroutine costs. Any store.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

namespace holdfast::testing {
class child_process;
}

namespace holdfast::bench {

/// holdfast_bench --crowd URL COUNT TTL_MS
///
/// Says "held BYTES THREADS" when it holds COUNT names; then obeys, one line each, until its input ends:
///   wait -> "waiting BYTES THREADS"  as many coroutines wait for these names, through a connection of theirs
///   free -> "woken COUNT"            one name was released; so many were granted within the second after
/// BYTES is what each has added to the memory of the process; THREADS is how many it has.
/// Returns the process's exit code.
int run_crowd(const std::vector<std::string>& arguments);

/// Such a process, as its parent sees it.
class crowd_process {
  public:
    crowd_process(const std::string& url, std::size_t count, std::chrono::milliseconds ttl);
    crowd_process(const crowd_process&) = delete;
    crowd_process& operator=(const crowd_process&) = delete;
    ~crowd_process();
    pid_t pid() const;
    /// The numbers behind the word that it has to answer.
    std::vector<long> answer(const std::string& word);
    std::vector<long> ask(const std::string& command, const std::string& word);

  private:
    std::unique_ptr<testing::child_process> process_;
};

} // namespace holdfast::bench
