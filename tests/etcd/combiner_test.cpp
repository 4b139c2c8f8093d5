// Transactions that are sent together: what may be, what becomes of the parts, and that nothing waits when
// nothing is under way. The server is a transport that only writes down what it is asked.
#include "etcd/combiner.hpp"

#include <gtest/gtest.h>

namespace holdfast::etcd {
namespace {

class held_calls final : public transport {
  public:
    struct asked {
        std::string request;
        repeat again;
        completion done;
    };
    void call(const char* method, std::string request, instant, repeat again, completion done) override {
        EXPECT_STREQ(method, method::txn);
        calls.push_back({std::move(request), again, std::move(done)});
    }
    std::shared_ptr<stream> open(const char*, bool, stream_events) override { return nullptr; }
    void avoid_endpoint() override {}
    void drop_token() override {}
    void answer(std::size_t which, outcome what) {
        const completion done = std::move(calls.at(which).done);
        done(std::move(what));
    }
    std::vector<asked> calls;
};

txn_request putting(const std::string& key) {
    txn_request out;
    out.compares.push_back({.key = key, .range_end = {}});
    out.success.emplace_back(put_request{key, "v", 7});
    return out;
}

txn_request deleting(const std::string& key) {
    txn_request out;
    out.success.emplace_back(delete_request{key});
    return out;
}

part part_of(std::string line, txn_request what, repeat again = repeat::never) {
    return {std::move(line), std::move(what), instant::max(), again, [](const outcome&, const txn_reply*) {}};
}

// Both would be created at one revision: one token for two holders.
TEST(etcd_combiner, two_claims_of_one_line_never_go_together) {
    const std::vector<part> others{part_of("a/", putting("a/1")), part_of("b/", deleting("b/9"))};
    EXPECT_FALSE(may_join(part_of("a/", putting("a/2")), others));
    EXPECT_TRUE(may_join(part_of("b/", putting("b/1")), others));
    EXPECT_TRUE(may_join(part_of("a/x/", putting("a/x/1")), others)) << "a deeper name is another line";
}

TEST(etcd_combiner, a_key_is_never_put_and_deleted_together) {
    EXPECT_FALSE(may_join(part_of("a/", deleting("a/1")), {part_of("a/", putting("a/1"))}));
    EXPECT_FALSE(may_join(part_of("a/", putting("a/1")), {part_of("a/", deleting("a/1"))}));
    EXPECT_TRUE(may_join(part_of("a/", putting("a/1")), {part_of("a/", deleting("a/2"))}));
}

TEST(etcd_combiner, what_is_put_only_under_a_condition_counts_as_put) {
    txn_request guarded;
    guarded.failure.emplace_back(
        conditional{compare{.key = "a/1", .range_end = {}}, put_request{"a/1", "v"}});
    EXPECT_FALSE(may_join(part_of("a/", putting("a/2")), {part_of("a/", guarded)}));
    EXPECT_FALSE(may_join(part_of("b/", deleting("a/1")), {part_of("a/", guarded)}));
}

TEST(etcd_combiner, a_transaction_has_at_most_a_hundred_parts) {
    held_calls calls;
    combiner together(calls);
    std::size_t sent = 0;
    while (calls.calls.size() == sent) { // Until one has to wait for those that are under way.
        together.send(part_of(std::to_string(sent) + "/", putting(std::to_string(sent) + "/k")));
        if (calls.calls.size() == sent) {
            break;
        }
        ++sent;
    }
    for (int number = 0; number < 250; ++number) {
        const std::string line = "line" + std::to_string(number) + "/";
        together.send(part_of(line, putting(line + "k")));
    }
    ASSERT_EQ(calls.calls.size(), sent) << "they wait";
    for (std::size_t which = 0; which < sent; ++which) {
        calls.answer(which, {rpc_code::internal, {}, {}, {}, true});
    }
    EXPECT_EQ(calls.calls.size(), sent + 3) << "251 of them, in hundreds";
}

TEST(etcd_combiner, a_transaction_alone_is_sent_at_once_and_as_it_is) {
    held_calls calls;
    combiner together(calls);
    together.send(part_of("a/", putting("a/1"), repeat::freely));
    ASSERT_EQ(calls.calls.size(), 1U);
    EXPECT_EQ(calls.calls[0].request, encode(putting("a/1")));
    EXPECT_EQ(calls.calls[0].again, repeat::freely);
}

TEST(etcd_combiner, what_comes_beside_a_large_transaction_waits_for_it) {
    held_calls calls;
    combiner together(calls);
    const auto put_in = [](const std::string& line) { return part_of(line, putting(line + "k")); };
    for (int number = 0; number < 10; ++number) {
        together.send(put_in("line" + std::to_string(number) + "/"));
    }
    ASSERT_EQ(calls.calls.size(), 2U) << "two alone, and eight that wait";
    calls.answer(0, {rpc_code::internal, {}, {}, {}, true});
    ASSERT_EQ(calls.calls.size(), 3U) << "the eight together, beside a small one";
    calls.answer(1, {rpc_code::internal, {}, {}, {}, true});
    together.send(put_in("late/"));
    EXPECT_EQ(calls.calls.size(), 3U) << "beside eight nothing is sent";
    calls.answer(2, {rpc_code::internal, {}, {}, {}, true});
    EXPECT_EQ(calls.calls.size(), 4U);
}

struct pair_sent {
    held_calls calls;
    combiner together{calls};
    std::vector<outcome> put_heard;
    std::vector<outcome> gone_heard;
    std::size_t combined = 0;

    pair_sent() {
        for (int number = 0; calls.calls.size() == static_cast<std::size_t>(number) && number < 16;
             ++number) {
            const std::string line = "busy" + std::to_string(number) + "/";
            together.send(part_of(line, putting(line + "k")));
        }
        combined = calls.calls.size(); // The last one waits, and goes with these two.
        together.send({"a/", putting("a/1"), instant::max(), repeat::never,
                       [this](const outcome& what, const txn_reply*) { put_heard.push_back(what); }});
        together.send({"b/", deleting("b/1"), instant::max(), repeat::freely,
                       [this](const outcome& what, const txn_reply*) { gone_heard.push_back(what); }});
        calls.answer(0, {rpc_code::internal, {}, {}, {}, true});
        EXPECT_EQ(calls.calls.size(), combined + 1);
        EXPECT_EQ(calls.calls[combined].again, repeat::never) << "it is not said what may be repeated in it";
    }
};

TEST(etcd_combiner, parts_of_a_refused_transaction_are_sent_again_by_themselves) {
    pair_sent pair;
    pair.calls.answer(pair.combined, {rpc_code::permission_denied, "not for you", {}, {}, true});
    ASSERT_EQ(pair.calls.calls.size(), pair.combined + 4);
    EXPECT_EQ(pair.calls.calls[pair.combined + 2].request, encode(putting("a/1")));
    EXPECT_EQ(pair.calls.calls[pair.combined + 3].request, encode(deleting("b/1")));
    EXPECT_TRUE(pair.put_heard.empty());
    pair.calls.answer(pair.combined + 2, {rpc_code::permission_denied, "not for you", {}, {}, true});
    ASSERT_EQ(pair.put_heard.size(), 1U);
    EXPECT_EQ(pair.put_heard[0].code, rpc_code::permission_denied);
}

TEST(etcd_combiner, only_what_may_be_repeated_is_after_an_unknown_outcome) {
    pair_sent pair;
    pair.calls.answer(pair.combined, {rpc_code::deadline_exceeded, {}, {}, {}, true});
    ASSERT_EQ(pair.put_heard.size(), 1U) << "its caller asks again by its claim id";
    EXPECT_EQ(pair.put_heard[0].code, rpc_code::deadline_exceeded);
    EXPECT_TRUE(pair.gone_heard.empty());
    ASSERT_EQ(pair.calls.calls.size(), pair.combined + 2);
    EXPECT_EQ(pair.calls.calls.back().request, encode(deleting("b/1")));
    EXPECT_EQ(pair.calls.calls.back().again, repeat::freely);
}

} // namespace
} // namespace holdfast::etcd
