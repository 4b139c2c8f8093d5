// A process that runs one instruction at a time, and what of its doing would outlive it.
//
// Whoever lives on after a SIGKILL can see nothing of the dead process but the segment, and what the kernel
// does at its end: it lets go of its locked bytes of the file, and walks the list of robust futexes of its
// threads, which lies in the dead process's own memory. So two kills differ only if between them the segment
// has changed, or that list, or a system call was made. An instruction that does none of that (it computes,
// reads, or writes to memory that dies with the process) leaves nothing for a kill to find, and a kill after
// each of the others is a kill after every instruction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

#include "local/segment.hpp"

namespace holdfast::testing {

/// The words of the segment that a scenario can change, and what they were when last looked at.
class watched_segment {
  public:
    /// `with_names`: a name that is new may be made too. That is twice as much to look at.
    watched_segment(const local::segment& in, bool with_names);

    /// Whether any has changed since the last call, by whomever.
    bool changed();
    /// Whether anything else in the segment is not as it was when this was made: then changed() is blind to
    /// something. Takes a while.
    std::string blind_spot() const;

  private:
    struct part {
        std::size_t at;
        std::size_t bytes;
    };
    void watch(const void* from, std::size_t bytes);

    const char* base_;
    std::vector<part> parts_;
    std::vector<char> last_;
    std::vector<char> first_; ///< Of everything.
};

/// A traced child that stands still whenever we look; its other threads run on.
class stepped {
  public:
    explicit stepped(std::vector<std::string> argv);
    ~stepped() { kill(); }
    stepped(const stepped&) = delete;
    stepped& operator=(const stepped&) = delete;

    /// Lets it run to its next mark, a SIGSTOP of its own.
    bool to_mark();
    /// One instruction. false: it has come to its next mark.
    bool step();
    /// Whether it stands still somewhere, and has not ended.
    bool is_there() const { return !gone_; }
    /// The address of the next instruction; 0 where we cannot tell.
    std::uintptr_t at() const;
    /// Lets it run until it has come to this instruction so many times, by a breakpoint of the processor's
    /// that its other threads do not have. false: not possible here, or it has come to its next mark before.
    bool run_to(std::uintptr_t instruction, std::size_t times);
    /// Whether that was a system call. Where we cannot tell it may have been one: true.
    bool was_system_call() const;
    /// What the kernel will find in the list of life words when the process ends; see life.hpp.
    std::vector<std::uintptr_t> life_list() const;
    void kill();

  private:
    bool stops_with(int signal);
    void find_life_list();

    pid_t pid_ = 0;
    std::uintptr_t life_list_ = 0; ///< Its head, in the child; 0: there is none.
    bool gone_ = false;
};

} // namespace holdfast::testing
