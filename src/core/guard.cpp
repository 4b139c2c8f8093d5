#include <holdfast/guard.hpp>

#include "inside.hpp"
#include "session.hpp"

namespace holdfast {

using std::chrono::nanoseconds;

namespace {

std::string shown(const core::hold& claim) {
    return "'" + claim.claim().name.bytes() + "'";
}

} // namespace

result<fence> fence_of(const held& by) {
    const auto& claim = core::inside::of(by);
    if (!claim) {
        return error(errc::misuse, "nothing is held: there is no token to write with");
    }
    const struct claim& what = claim->claim();
    if (what.capacity != lock_capacity || what.weight != lock_capacity) {
        return error(errc::misuse, "the hold of " + shown(*claim) + " is " +
                                       (what.capacity == lock_capacity ? "a reader's" : "of permits") +
                                       ": its token fences nothing; acquire the name exclusively to write");
    }
    if (claim->valid_for() <= nanoseconds::zero()) {
        return error(errc::lost, shown(*claim) + " was lost (" + std::string(to_string(claim->reason())) +
                                     "): nothing was written");
    }
    claim_id owner = what.id;
    if (owner.number == 0) { // Of the fast path, which names no claims: the token is as unique.
        owner = {.session = claim->owner()->id(), .number = claim->token().value()};
    }
    return fence{.token = claim->token(), .owner = to_string(owner)};
}

result<etcd_fence> guard_etcd(const held& by) {
    const auto mine = fence_of(by);
    if (!mine) {
        return mine.error();
    }
    const auto& claim = core::inside::of(by);
    if (claim->terms().traits.engine != "etcd") {
        return error(errc::misuse, shown(*claim) + " is held on " + claim->terms().traits.engine +
                                       ": only a hold on etcd has a key to compare");
    }
    std::string key = by.engine_key();
    if (key.empty() || claim->claim().id.number == 0) {
        return error(errc::misuse, shown(*claim) + " is not held by a key of its own: there is nothing to "
                                                   "compare; acquire it without a local hand-over");
    }
    return etcd_fence{.key = std::move(key),
                      .create_revision = static_cast<std::int64_t>(mine->token.value())};
}

result<void> judge_etcd(bool succeeded) {
    if (!succeeded) {
        return error(errc::lost, "the lock's key is not ours any more: the transaction changed nothing");
    }
    return {};
}

namespace {

// Decimal digits without leading zeros: the longer one is the larger, and of two as long the later in order.
constexpr std::string_view guarded_hset = R"(
local stored = redis.call('HMGET', KEYS[1], 'fence', 'fence_owner')
local mark = stored[1]
local mine = ARGV[1]
if mark then
  if not string.find(mark, '^[1-9]%d*$') then
    return redis.error_reply('the field fence of this hash is not a fencing token')
  end
  if #mark > #mine or (#mark == #mine and mark > mine) then
    return 0
  end
  if mark == mine and stored[2] ~= ARGV[2] then
    return 0
  end
end
redis.call('HSET', KEYS[1], 'fence', mine, 'fence_owner', ARGV[2])
for i = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
return 1
)";

} // namespace

std::vector<std::string> redis_write::command() const {
    std::vector<std::string> all{"EVAL", std::string(script), std::to_string(keys.size())};
    all.insert(all.end(), keys.begin(), keys.end());
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
}

result<redis_write> guard_redis(const held& by, std::string key,
                                std::vector<std::pair<std::string, std::string>> fields) {
    auto mine = fence_of(by);
    if (!mine) {
        return mine.error();
    }
    redis_write made{.script = guarded_hset,
                     .keys = {std::move(key)},
                     .arguments = {std::to_string(mine->token.value()), std::move(mine->owner)}};
    for (auto& [field, value] : fields) {
        if (field == "fence" || field == "fence_owner") {
            return error(errc::misuse, "the field '" + field + "' is the guard's own");
        }
        made.arguments.push_back(std::move(field));
        made.arguments.push_back(std::move(value));
    }
    return made;
}

result<void> judge_redis(std::int64_t reply) {
    if (reply == 1) {
        return {};
    }
    if (reply == 0) {
        return error(errc::lost, "somebody with a higher token has written: the write was stale and "
                                 "changed nothing");
    }
    return error(errc::misuse, "the guard's script answers 0 or 1, not " + std::to_string(reply));
}

} // namespace holdfast
