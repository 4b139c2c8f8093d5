#include "combiner.hpp"

#include <algorithm>
#include <variant>

#include <sched.h>

namespace holdfast::etcd {
namespace {

// So many transactions go their own ways, as long as they are small: nothing is gained by waiting for one of
// them. Where more comes than that the server is busy, and then it does most in one transaction at a time.
constexpr std::size_t enough_under_way = 2;
constexpr std::size_t parts_of_small = 3;

template <typename Operation, typename Visit>
void each(const txn_request& in, Visit visit) {
    for (const auto* branch : {&in.success, &in.failure}) {
        for (const operation& step : *branch) {
            if (const auto* plain = std::get_if<Operation>(&step)) {
                visit(*plain);
            } else if (const auto* guarded = std::get_if<conditional>(&step)) {
                if (const auto* inner = std::get_if<Operation>(&guarded->step)) {
                    visit(*inner);
                }
            }
        }
    }
}

bool puts(const txn_request& in) {
    bool found = false;
    each<put_request>(in, [&](const put_request&) { found = true; });
    return found;
}

bool deletes_what_is_put(const txn_request& deleting, const txn_request& putting) {
    bool found = false;
    each<delete_request>(deleting, [&](const delete_request& gone) {
        each<put_request>(putting, [&](const put_request& put) { found = found || put.key == gone.key; });
    });
    return found;
}

/// The server has refused it as a whole because of one part, and nothing was done.
bool refused(const outcome& reply) {
    switch (reply.code) {
    case rpc_code::invalid_argument:
    case rpc_code::not_found:
    case rpc_code::permission_denied:
    case rpc_code::resource_exhausted:
    case rpc_code::failed_precondition:
    case rpc_code::out_of_range:
        return true;
    default:
        return false;
    }
}

} // namespace

bool may_join(const part& one, const std::vector<part>& others) {
    if (others.size() >= max_parts) {
        return false;
    }
    return std::ranges::none_of(others, [&](const part& other) {
        return (one.line == other.line && puts(one.what) && puts(other.what)) ||
               deletes_what_is_put(one.what, other.what) || deletes_what_is_put(other.what, one.what);
    });
}

void combiner::send(part one) {
    bool gather = false;
    {
        const core::latch_guard locked(guard_);
        queue_.push_back(std::move(one));
        if (!may_send()) {
            return; // Goes with the next.
        }
        gather = last_size_ > 1;
    }
    if (gather) {
        ::sched_yield(); // Who was answered together comes again together: let them.
    }
    std::vector<std::shared_ptr<parts>> now;
    {
        const core::latch_guard locked(guard_);
        if (may_send()) {
            now = due();
        }
    }
    for (auto& all : now) {
        send_together(std::move(all));
    }
}

bool combiner::may_send() const {
    return under_way_ == 0 || (under_way_ < enough_under_way && parts_under_way_ <= parts_of_small);
}

/// All that waits, in as few transactions as may be. What is older goes earlier.
std::vector<std::shared_ptr<combiner::parts>> combiner::due() {
    std::vector<std::shared_ptr<parts>> out;
    while (!queue_.empty()) {
        part one = std::move(queue_.front());
        queue_.pop_front();
        const auto fits = std::ranges::find_if(out, [&](const auto& all) { return may_join(one, *all); });
        const auto where = fits != out.end() ? fits : out.insert(out.end(), std::make_shared<parts>());
        (*where)->push_back(std::move(one));
        ++parts_under_way_;
    }
    under_way_ += out.size();
    if (!out.empty()) {
        last_size_ = out.back()->size();
    }
    return out;
}

void combiner::send_together(std::shared_ptr<parts> all) {
    std::string bytes;
    instant deadline = all->front().deadline;
    repeat again = all->front().again;
    if (all->size() == 1) {
        bytes = encode(all->front().what);
    } else {
        std::vector<const txn_request*> requests;
        requests.reserve(all->size());
        for (const part& one : *all) {
            requests.push_back(&one.what);
            deadline = std::min(deadline, one.deadline);
        }
        bytes = encode_combined(requests);
        again = repeat::never;
    }
    calls_.call(method::txn, std::move(bytes), deadline, again,
                [this, all](const outcome& reply) { on_reply(all, reply); });
}

void combiner::send_alone(part one) {
    std::string bytes = encode(one.what);
    calls_.call(method::txn, std::move(bytes), one.deadline, one.again,
                [done = std::move(one.done)](const outcome& reply) {
                    txn_reply answer;
                    done(reply, reply.ok() && decode(reply.body, answer) ? &answer : nullptr);
                });
}

void combiner::on_reply(const std::shared_ptr<parts>& all, const outcome& reply) {
    std::vector<std::shared_ptr<parts>> next;
    {
        const core::latch_guard locked(guard_);
        --under_way_;
        parts_under_way_ -= all->size();
        if (may_send()) {
            next = due();
        }
    }
    for (auto& waiting : next) {
        send_together(std::move(waiting));
    }
    std::vector<txn_reply> answers(1);
    const bool together = all->size() > 1;
    const bool understood =
        reply.ok() && (together ? decode_combined(reply.body, answers) && answers.size() == all->size()
                                : decode(reply.body, answers.front()));
    for (std::size_t at = 0; at < all->size(); ++at) {
        part& one = (*all)[at];
        if (together && !reply.ok() && (refused(reply) || one.again == repeat::freely)) {
            send_alone(std::move(one));
        } else {
            one.done(reply, understood ? &answers[at] : nullptr);
        }
    }
}

} // namespace holdfast::etcd
