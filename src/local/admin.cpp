#include "admin.hpp"

#include <algorithm>
#include <vector>

#include "line.hpp"
#include "pools.hpp"
#include "proposal.hpp"

namespace holdfast::local {
namespace {

/// Takes away those who hold, or the one with this number.
class breaking final : public line_edit {
  public:
    explicit breaking(std::optional<std::uint64_t> only) : only_(only) {}

    bool apply(line& now) override {
        taken.clear();
        std::erase_if(now.claims, [this](const standing& each) {
            const bool ends = each.holds && (!only_ || each.sequence == *only_);
            if (ends) {
                taken.push_back(each);
            }
            return ends;
        });
        return !taken.empty();
    }

    std::vector<standing> taken;

  private:
    const std::optional<std::uint64_t> only_;
};

class resizing final : public line_edit {
  public:
    explicit resizing(std::uint32_t permits) : permits_(permits) {}

    bool apply(line& now) override {
        is_lock = !now.claims.empty() && now.capacity == lock_capacity;
        too_heavy = std::any_of(now.claims.begin(), now.claims.end(),
                                [this](const standing& each) { return each.weight > permits_; });
        if (now.claims.empty() || is_lock || too_heavy) {
            return false;
        }
        now.capacity = permits_;
        return true;
    }

    bool is_lock = false;
    bool too_heavy = false;

  private:
    const std::uint32_t permits_;
};

/// Empty: the name is free, because it was never used.
result<std::optional<std::uint32_t>> record_of(const segment& in, const resource_name& name) {
    const found_name found = find_record(in, name.bytes());
    switch (found.what) {
    case found_name::outcome::found:
        return std::optional(found.record);
    case found_name::outcome::absent:
        return std::optional<std::uint32_t>();
    default:
        return damaged(in);
    }
}

} // namespace

result<std::size_t> break_holds(const seat& by, const resource_name& name, std::optional<token> only) {
    const segment& in = by.memory();
    const auto record = record_of(in, name);
    if (!record) {
        return record.error();
    }
    if (!*record) {
        return std::size_t{0};
    }
    std::optional<std::uint64_t> sequence;
    if (only) {
        const std::uint64_t base = in.data().records[**record].base.load(std::memory_order_acquire);
        if (only->value() <= base) {
            return std::size_t{0}; // Granted before this segment was, or never.
        }
        sequence = only->value() - base;
    }
    breaking edit(sequence);
    switch (change_line(in, **record, by.as_editor(), edit)) {
    case change_result::corrupt:
        return damaged(in);
    case change_result::no_space:
        return no_room(in, "block", "fewer claims may wait in it at a time");
    case change_result::unchanged:
        return std::size_t{0};
    case change_result::changed:
        break;
    }
    for (const standing& each : edit.taken) {
        poke_holder(in, each);
    }
    drop_stale_proposal(in, **record);
    return edit.taken.size();
}

result<void> resize(const seat& by, const resource_name& name, std::uint32_t permits) {
    if (permits == 0 || permits > max_permits) {
        return error(errc::misuse, "'" + name.bytes() + "' cannot have " + std::to_string(permits) +
                                       " permits; it may have 1 to " + std::to_string(max_permits));
    }
    const segment& in = by.memory();
    const auto record = record_of(in, name);
    if (!record || !*record) {
        return record ? result<void>() : record.error();
    }
    resizing edit(permits);
    switch (change_line(in, **record, by.as_editor(), edit)) {
    case change_result::corrupt:
        return damaged(in);
    case change_result::no_space:
        return no_room(in, "block", "fewer claims may wait in it at a time");
    default:
        break;
    }
    if (edit.is_lock) {
        return error(errc::misuse,
                     "'" + name.bytes() + "' is in use as a lock, which has no permits to change");
    }
    if (edit.too_heavy) {
        return error(errc::misuse, "'" + name.bytes() + "' has a claim for more than " +
                                       std::to_string(permits) + " permits in line; wait until it has left");
    }
    return {};
}

} // namespace holdfast::local
