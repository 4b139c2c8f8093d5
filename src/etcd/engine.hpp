// What a store and all its sessions share: the connections and the watcher.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "combiner.hpp"
#include "rpc.hpp"
#include "settings.hpp"
#include "watcher.hpp"
#include "witness.hpp"

namespace holdfast::etcd {

/// What the store and its sessions share. Outlives them all, and is never destroyed inside a callback of its
/// own.
struct engine {
    explicit engine(settings how);
    ~engine();
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;

    const settings how;
    std::unique_ptr<transport> calls;
    combiner transactions;
    watcher waiting;
    witness seen;

    /// Asks a question that a majority answers, in the background: is this still the same cluster and no
    /// older state of it, and does the watch stream keep up with it? `key`: one that we may read.
    void look(const std::string& key);
    /// The witness has said no: everything that stands is lost.
    void was_replaced();
    /// Calls this when that happens.
    void on_replaced(std::function<void()> lose);

  private:
    core::latch guard_;
    std::vector<std::function<void()>> losers_ GUARDED_BY(guard_);
};
std::shared_ptr<engine> make_engine(settings how);

} // namespace holdfast::etcd
