// The edit that puts a claim at the end of its line. One thread uses one, once.
#pragma once

#include <cstdint>

#include <holdfast/store.hpp>

#include "line.hpp"
#include "seat.hpp"

namespace holdfast::local {

class joining final : public line_edit {
  public:
    enum class verdict { joined, busy, misfit, line_full, no_cell, expired, worn_out };

    /// `driven`: should it have to wait, a thread will wait for it.
    joining(const seat& from, std::uint32_t weight, std::uint32_t capacity, bool only_if_free, bool driven)
        : from_(from), weight_(weight), capacity_(capacity), only_if_free_(only_if_free), driven_(driven) {}

    bool apply(line& now) override;

    /// Set by who needs no cell to be poked by while he holds: he hears of a loss by his session's mailbox.
    bool goes_without_cell = false;

    verdict came_to = verdict::busy;
    bool holds = false;
    std::uint64_t sequence = 0;
    std::uint32_t cell = 0; ///< Ours, also when it was not needed in the end.
    std::uint32_t others_capacity = 0;

  private:
    verdict decide(line& now);

    const seat& from_;
    const std::uint32_t weight_;
    const std::uint32_t capacity_;
    const bool only_if_free_;
    const bool driven_;
};

} // namespace holdfast::local
