// Tools of the local store's tests: worker processes, and a look into the segment.
#pragma once

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <holdfast/holdfast.hpp>

#include "core/factory.hpp"
#include "local/folder.hpp"
#include "local/line.hpp"
#include "local/pools.hpp"
#include "local/segment.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"
#include "support/wait_for.hpp"

namespace holdfast::testing {

/// Generous: only a test that fails takes as long.
inline constexpr std::chrono::milliseconds patience{20000};

inline instant soon() {
    return now(clock_source::monotonic) + patience;
}

/// How many rounds a fuzz goes: as many as HOLDFAST_FUZZ says, or these.
inline int fuzz_rounds(int usual) {
    const char* const asked = std::getenv("HOLDFAST_FUZZ");
    return asked == nullptr ? usual : std::atoi(asked);
}

/// The store of this folder, as connect() makes it.
inline std::unique_ptr<store> local_store(const std::string& folder) {
    core::store_config config;
    config.url.scheme = "local";
    config.url.path = folder;
    return core::make_store(config).value();
}

/// A worker that holds a name until it is told to release; see worker.cpp.
class holder {
  public:
    holder(const std::string& folder, const std::string& name, std::chrono::milliseconds ttl,
           const std::string& how = "hold")
        : holder({LOCAL_WORKER, how, folder, name, std::to_string(ttl.count())}) {}
    /// A worker in another way of holding.
    explicit holder(std::vector<std::string> argv, process_options how = {})
        : process_(std::move(argv), with_pipes(std::move(how))) {}

    /// Waits until it holds; its token, 0 if it does not.
    std::uint64_t token() {
        const auto line = process_.read_line(patience);
        return line && line->starts_with("held ") ? std::stoull(line->substr(5)) : 0;
    }
    /// Tells it to release, and what it said.
    std::string release() {
        process_.write_input("\n");
        return process_.read_line(patience).value_or("nothing");
    }
    child_process& process() { return process_; }

  private:
    static process_options with_pipes(process_options how) {
        how.out = redirect::pipe();
        how.input_pipe = true;
        return how;
    }
    child_process process_;
};

/// How many claims stand in the line of a name.
inline std::size_t claims_in(const locks& on, const std::string& name) {
    const auto all = on.list();
    if (all) {
        for (const auto& each : *all) {
            if (each.name == name) {
                return each.claims.size();
            }
        }
    }
    return 0;
}

/// What lies about in a segment at this moment.
inline std::string left_overs_now(const local::segment& in) {
    namespace l = holdfast::local;
    std::string found;
    for (std::uint32_t i = 0; i < l::slot_count; ++i) {
        if (l::state_of(in.data().slots[i].session.load()) != l::session_state::free) {
            found += "slot " + std::to_string(i) + " is not free; ";
        }
    }
    for (std::uint32_t i = 0; i < l::record_count; ++i) {
        if (l::is_published(in, i) && l::tag_of(in.data().records[i].word.load()) != l::tag::free) {
            found += "'" + l::name_of(in, i).value_or("?") + "' is not free; ";
        }
    }
    for (std::uint32_t i = 0; i < l::block_count; ++i) {
        if (!in.is_void(in.block_at(i).owner().load())) {
            found += "block " + std::to_string(i) + " has an owner; ";
        }
    }
    for (std::uint32_t i = 0; i < l::cell_count; ++i) {
        if (!in.is_void(in.data().cells[i].owner.load())) {
            found += "cell " + std::to_string(i) + " has an owner; ";
        }
    }
    return found;
}

/// What dead processes have left in a segment that nobody uses now; empty when there is nothing.
inline std::string left_overs(const std::string& folder) {
    const auto opened = local::open_segment(folder, soon());
    if (!opened) {
        return opened.error().message();
    }
    std::string found;
    const auto begun = std::chrono::steady_clock::now();
    do {
        {
            // Whoever opens a session takes back the slots of processes that are gone.
            const auto locks = connect("local:" + folder);
            static_cast<void>(locks.mutex("left-overs").try_acquire());
        }
        // A session's slot is given back by its last user, and for a moment that may be its store's own
        // thread, which looks after it: the slot of this visit can outlive it by as long as that thread
        // stands still.
        if (wait_for([&] { return (found = left_overs_now(**opened)).empty(); }, std::chrono::seconds(1))) {
            break;
        }
    } while (std::chrono::steady_clock::now() - begun < patience);
    return found;
}

} // namespace holdfast::testing
