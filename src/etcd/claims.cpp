#include "claims.hpp"

#include <algorithm>
#include <optional>

#include "errors.hpp"
#include "keys.hpp"
#include "value.hpp"

namespace holdfast::etcd {
namespace {

using phase = record::phase;

constexpr std::int64_t first_page_keys =
    64;                                    ///< Enough to judge nearly every line by the reply to the append.
constexpr std::size_t line_limit = 10'000; ///< Claims in one line; more than this is a mistake, and slow.
constexpr int max_tries = 4;               ///< Guarded transactions of one only_if_free.

constexpr const char* append_step = "taking a place in line";

range_request first_page(const std::string& prefix) {
    const key_range range = range_of(prefix);
    range_request request;
    request.key = range.key;
    request.range_end = range.end;
    request.limit = first_page_keys;
    request.by_creation = true;
    request.keys_only = true;
    return request;
}

range_request read_own_key(const std::string& key) {
    range_request request;
    request.key = key;
    request.keys_only = true;
    return request;
}

// A line as the rule sees it, and where one key stands in it.
struct judged_line {
    std::vector<standing> places;
    std::optional<std::size_t> own;
    const core::place& head() const { return places.front().place; }
};

judged_line judge(const record& one, std::vector<key_value> keys) {
    std::ranges::stable_sort(keys, {}, &key_value::create_revision);
    judged_line out;
    for (const key_value& kv : keys) {
        if (const auto place = place_of(one.prefix, kv)) {
            if (kv.key == one.key) {
                out.own = out.places.size();
            }
            out.places.push_back(*place);
        }
    }
    return out;
}

bool hides_a_resize(const record& one, const std::vector<key_value>& line) {
    return std::ranges::any_of(line, [&](const key_value& kv) { return needs_value(one.prefix, kv); });
}

error other_kind(const record& one, const core::place& head) {
    const auto kind = [](std::uint32_t capacity) {
        return capacity == lock_capacity ? std::string("a lock")
                                         : "a semaphore of " + std::to_string(capacity) + " permits";
    };
    return {errc::misuse, "the name is in use as " + kind(head.capacity) + ", and was asked for as " +
                              kind(one.shape.capacity) + "; use another name, or the same kind"};
}

error line_full() {
    return {errc::misuse,
            "the line is full: " + std::to_string(line_limit) + " claims hold or wait for this name"};
}

} // namespace

claims::record_ptr claims::record_of(const std::shared_ptr<claim_events>& entry) {
    const core::latch_guard locked(guard_);
    if (entry->store_data) {
        return std::static_pointer_cast<record>(entry->store_data);
    }
    const claim& what = entry->claim();
    const std::string prefix = line_prefix(with_.how.space, what.name);
    std::string key = keys_->take(prefix, {what.weight, what.capacity, false});
    if (key.empty()) {
        key = claim_key(prefix, lease_, what);
    }
    auto made = std::make_shared<record>(prefix, std::move(key), what);
    entry->store_data = made;
    if (known_.size() >= purge_at_) {
        std::erase_if(known_, [](const auto& one) { return one.expired(); });
        purge_at_ = std::max<std::size_t>(64, known_.size() * 2);
    }
    known_.push_back(made);
    return made;
}

void claims::append(const std::shared_ptr<claim_events>& entry, bool only_if_free) {
    const record_ptr one = record_of(entry);
    bool over = false;
    bool doubtful = false;
    {
        const core::latch_guard locked(guard_);
        over = ended_;
    }
    {
        const core::latch_guard locked(one->guard);
        if (one->now == phase::appending || one->now == phase::removing) {
            return; // Its outcome is still to come.
        }
        one->keep(entry);
        doubtful = one->doubtful;
        one->remove_wanted = false;
        one->now = over ? phase::idle : phase::appending;
        if (over) {
            one->push({notice::kind::refused, 0, {}, error(errc::lost, "the session has been closed")});
        }
    }
    if (over) {
        one->deliver(*with_.calls);
        return;
    }
    const claim& what = entry->claim();
    if (what.proposal && what.proposal->size() > max_proposal) {
        refuse(one, proposal_too_long());
        return;
    }
    const auto since = std::chrono::system_clock::now();
    std::string value =
        what.proposal ? write_value({who_, since, {}, false, what.proposal}, what.capacity) : note_.at(since);
    send_append(std::make_shared<attempt>(attempt{one, only_if_free, std::move(value), doubtful}));
}

void claims::send_append(const attempt_ptr& what) {
    const record& one = *what->one;
    const key_range range = range_of(one.prefix);
    txn_request request;
    const bool guarded = what->only_if_free && !what->at_risk;
    if (!guarded) {
        request.compares.push_back({one.key, {}, compare::relation::equal, 0});
    } else if (what->tries == 0) {
        request.compares.push_back({range.key, range.end, compare::relation::equal, 0});
    } else {
        // Departures since the judgement do no harm; arrivals would.
        request.compares.push_back(
            {range.key, range.end, compare::relation::less, what->judged_revision + 1});
    }
    request.success.emplace_back(put_request{one.key, what->value, lease_});
    if (!guarded) {
        request.success.emplace_back(first_page(one.prefix));
    }
    // What is for a case that hardly ever comes would be half of what the members write and exchange.
    if (guarded || what->once_more) {
        request.failure.emplace_back(read_own_key(one.key));
        request.failure.emplace_back(first_page(one.prefix));
    }
    ++what->tries;
    what->floor = with_.seen.floor();
    with_.transactions.send(
        {one.prefix, std::move(request), boottime() + with_.how.attempt_timeout(), repeat::never,
         [self = shared_from_this(), what](const outcome& reply, const txn_reply* answer) {
             self->on_append(what, reply, answer);
         }});
}

void claims::on_append(const attempt_ptr& what, const outcome& reply, const txn_reply* decoded) {
    if (decoded != nullptr && !decoded->succeeded && decoded->results.empty() && !what->once_more) {
        what->once_more = true; // It stands there already.
        send_append(what);
        return;
    }
    const bool understood =
        decoded != nullptr && !decoded->results.empty() &&
        (decoded->results.size() == 2 || (decoded->succeeded && what->only_if_free && !what->at_risk));
    if (!understood) {
        fail_append(what->one, reply, !reply.ok());
        return;
    }
    const txn_reply& answer = *decoded;
    if (!same_state(answer.head, what->floor)) {
        refuse(what->one,
               error(errc::lost, "taking a place in line: etcd was restored or replaced meanwhile"));
        return;
    }
    const std::int64_t revision = answer.head.revision;
    if (answer.succeeded && what->only_if_free && !what->at_risk) {
        stands(what->one, revision, true);
        return;
    }
    const range_reply& line = answer.results[1];
    if (answer.succeeded) {
        judge_place(what, line.kvs, !line.more, revision, revision);
        return;
    }
    const std::vector<key_value>& own = answer.results[0].kvs;
    if (!own.empty()) {
        judge_place(what, line.kvs, !line.more, own.front().create_revision, revision);
    } else if (what->only_if_free) {
        judge_free(what, line.kvs, !line.more, revision);
    } else {
        fail_append(what->one, reply, false);
    }
}

// Our key stands in the line, as read at `revision`; `line` is its head, or all of it.
void claims::judge_place(const attempt_ptr& what, const std::vector<key_value>& line, bool whole,
                         std::int64_t create_revision, std::int64_t revision) {
    const record_ptr& one = what->one;
    const judged_line seen = judge(*one, line);
    if (hides_a_resize(*one, line) ||
        (!whole &&
         (seen.places.empty() || (!seen.own && granted_places(seen.places) == seen.places.size())))) {
        read_whole(what, create_revision, revision);
        return;
    }
    const bool first = seen.own == 0U;
    if (!first && !seen.places.empty() && !core::may_join(seen.head(), one->shape)) {
        expel(one, other_kind(*one, seen.head()));
        return;
    }
    if (whole && seen.places.size() > line_limit) {
        expel(one, line_full());
        return;
    }
    const bool granted = seen.own && *seen.own < granted_places(seen.places);
    if (!granted && what->only_if_free) {
        expel(one, error(errc::busy, "the name is taken"));
        return;
    }
    stands(one, create_revision, granted);
}

// Our key does not stand in the line: would it hold at once if it did?
void claims::judge_free(const attempt_ptr& what, const std::vector<key_value>& line, bool whole,
                        std::int64_t revision) {
    const record_ptr& one = what->one;
    judged_line seen = judge(*one, line);
    if (hides_a_resize(*one, line)) {
        read_whole(what, 0, revision);
        return;
    }
    if (!seen.places.empty() && !core::may_join(seen.head(), one->shape)) {
        refuse(one, other_kind(*one, seen.head()));
        return;
    }
    const bool room = granted_places(seen.places) == seen.places.size();
    if (room && !whole) {
        read_whole(what, 0, revision);
        return;
    }
    seen.places.push_back({one->shape, false});
    if (!room || granted_places(seen.places) != seen.places.size()) {
        refuse(one, error(errc::busy, "the name is taken"));
        return;
    }
    what->judged_revision = revision;
    // Deeper names may come and go all the time: they must not make this one look busy.
    what->at_risk = what->tries >= max_tries;
    send_append(what);
}

void claims::read_whole(const attempt_ptr& what, std::int64_t create_revision, std::int64_t revision) {
    read_line(*with_.calls, what->one->prefix, revision, deadline(),
              [self = shared_from_this(), what, create_revision, revision](line_reading reading) {
                  if (reading.failure.ok() && create_revision != 0) {
                      self->judge_place(what, reading.keys, true, create_revision, revision);
                  } else if (reading.failure.ok()) {
                      self->judge_free(what, reading.keys, true, revision);
                  } else if (create_revision != 0) {
                      reading.failure.sent = true; // The append itself was executed.
                      self->fail_append(what->one, reading.failure, true);
                  } else {
                      self->refuse(what->one, to_error(reading.failure, append_step, effect::none));
                  }
              });
}

void claims::stands(const record_ptr& one, std::int64_t create_revision, bool granted) {
    bool leave = false;
    {
        const core::latch_guard locked(one->guard);
        one->create_revision = create_revision;
        leave = one->remove_wanted;
        one->now = leave ? phase::removing : granted ? phase::granted : phase::waiting;
        if (granted && !leave) {
            one->push({notice::kind::granted, static_cast<std::uint64_t>(create_revision)});
        } else if (!leave) {
            one->push({notice::kind::waiting});
        }
    }
    if (leave) {
        send_remove(one);
        return;
    }
    one->deliver(*with_.calls);
    if (granted) {
        with_.waiting.follow_later(one);
    } else {
        with_.waiting.follow(one, create_revision);
    }
}

// Nothing of it is in the line, or an error says that it may be.
void claims::refuse(const record_ptr& one, error why) {
    bool leave = false;
    {
        const core::latch_guard locked(one->guard);
        leave = one->remove_wanted;
        one->now = leave ? phase::removing : phase::idle;
        if (!leave) {
            one->push({notice::kind::refused, 0, {}, std::move(why)});
        }
    }
    if (leave) {
        send_remove(one);
    } else {
        one->deliver(*with_.calls);
    }
}

void claims::fail_append(const record_ptr& one, const outcome& reply, bool understood) {
    error why = understood ? to_error(reply, append_step, effect::change)
                           : bad_reply(reply, append_step, effect::change);
    {
        const core::latch_guard locked(one->guard);
        one->doubtful = one->doubtful || why.code() == errc::unknown_outcome;
        if (one->doubtful && why.code() == errc::unavailable) {
            // Certain of this attempt only: an earlier one may stand there.
            why = error(errc::unknown_outcome, why.message());
        }
    }
    refuse(one, std::move(why));
}

// It got a place that it may not keep: only once that is undone is the reason told.
void claims::expel(const record_ptr& one, error why) {
    {
        const core::latch_guard locked(one->guard);
        one->key_is_spent = true;
    }
    with_.calls->call(method::delete_range, encode(delete_request{one->key}), deadline(), repeat::freely,
                      [self = shared_from_this(), one, why](outcome reply) {
                          if (reply.ok()) {
                              self->refuse(one, why);
                              return;
                          }
                          // Whatever this failure is called: the append was executed, and its key stands
                          // there.
                          const error failed = to_error(reply, append_step, effect::change);
                          {
                              const core::latch_guard locked(one->guard);
                              one->doubtful = true;
                          }
                          self->refuse(one, error(errc::unknown_outcome, failed.message()));
                      });
}

} // namespace holdfast::etcd
