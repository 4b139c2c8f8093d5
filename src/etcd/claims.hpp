// The claims of one session: the transactions that put them in line and take them away.
//
// Thread-safe, and nothing blocks. An append is one transaction, and so is a removal; waiting is the
// watcher's. Replies in flight keep the object alive. See record.hpp for a claim's phases.
#pragma once

#include <memory>
#include <vector>

#include <holdfast/store.hpp>

#include "core/annotations.hpp"
#include "core/boottime.hpp"
#include "engine.hpp"
#include "key_pool.hpp"
#include "messages.hpp"
#include "record.hpp"
#include "value.hpp"

namespace holdfast::etcd {

error proposal_too_long();

class claims : public std::enable_shared_from_this<claims> {
  public:
    claims(engine& with, std::int64_t lease, holder_info who)
        : with_(with), lease_(lease), who_(std::move(who)), note_(who_) {}

    void append(const std::shared_ptr<claim_events>& entry, bool only_if_free);
    void remove(const std::shared_ptr<claim_events>& entry);
    /// Removes again what an append without an answer may have put in line after its removal. After each
    /// renewal.
    void sweep();
    /// See store_session. Blocks.
    result<void> proclaim(const claim_events& entry, std::string_view proposal, instant give_up);
    std::string key_of(const claim_events& entry);
    /// Forgets every claim, quietly. What is under way comes to nothing.
    void abandon();
    /// The store was replaced: every claim is lost.
    void replaced();
    /// The key of some claim, for a question that may be asked with the rights we have; empty without claims.
    std::string any_key();

  private:
    using record_ptr = std::shared_ptr<record>;
    // One append under way.
    struct attempt {
        record_ptr one;
        bool only_if_free = false;
        std::string value;
        /// Whether its key may stand there already, from an attempt before: then the reply has to tell all.
        bool once_more = false;
        int tries = 0;                    ///< only_if_free: transactions so far.
        std::int64_t judged_revision = 0; ///< only_if_free: the line as it stood then had room.
        bool at_risk =
            false; ///< only_if_free: put in line all the same, and taken out again if it does not hold.
        std::int64_t floor = 0; ///< See witness.hpp.
    };
    using attempt_ptr = std::shared_ptr<attempt>;

    record_ptr record_of(const std::shared_ptr<claim_events>& entry);
    record_ptr known_record(const claim_events& entry);
    void send_append(const attempt_ptr& what);
    void on_append(const attempt_ptr& what, const outcome& reply, const txn_reply* answer);
    void judge_place(const attempt_ptr& what, const std::vector<key_value>& line, bool whole,
                     std::int64_t create_revision, std::int64_t revision);
    void judge_free(const attempt_ptr& what, const std::vector<key_value>& line, bool whole,
                    std::int64_t revision);
    void read_whole(const attempt_ptr& what, std::int64_t create_revision, std::int64_t revision);
    void stands(const record_ptr& one, std::int64_t create_revision, bool granted);
    void refuse(const record_ptr& one, error why);
    bool same_state(const header& head, std::int64_t floor);
    void fail_append(const record_ptr& one, const outcome& reply, bool understood);
    void expel(const record_ptr& one, error why);
    void send_remove(const record_ptr& one);
    void on_remove(const record_ptr& one, const outcome& reply, bool by_its_revision);
    instant deadline() const { return boottime() + with_.how.op_timeout; }

    engine& with_;
    const std::int64_t lease_;
    const holder_info who_;
    const note_writer note_;
    const std::shared_ptr<key_pool> keys_ = std::make_shared<key_pool>();

    core::latch guard_;
    std::vector<std::weak_ptr<record>> known_ GUARDED_BY(guard_);
    std::size_t purge_at_ GUARDED_BY(guard_) = 64;
    struct suspect {
        std::string key;
        int sweeps_left;
    };
    std::vector<suspect> suspects_ GUARDED_BY(guard_);
    bool ended_ GUARDED_BY(guard_) = false;
};

} // namespace holdfast::etcd
