// What guards refuse before anything is sent, and the text they make.
#include "contract/reference_store.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include <holdfast/guard.hpp>
#include <holdfast/holdfast.hpp>

#include "core/client.hpp"
#include "guards/code_of.hpp"

namespace holdfast::testing {
namespace {

class guards : public ::testing::Test {
  protected:
    reference_engine engine;
    locks ann{core::client::adopt(engine.connect(), "reference:", {}).value()};
    sql_guard sql = sql_guard::make({.table = "app.accounts", .key = "id", .values = {"balance"}}).value();

    /// What each of the guards says of a hold.
    void expect_refused(const held& by, errc code) {
        EXPECT_EQ(code_of(fence_of(by)), code);
        EXPECT_EQ(code_of(sql.parameters(by, {"1"}, "7")), code);
        EXPECT_EQ(code_of(guard_redis(by, "k", {})), code);
        EXPECT_EQ(code_of(guard_etcd(by)), code);
    }
};

TEST_F(guards, only_exclusive_holds_fence) {
    expect_refused(held(), errc::misuse);
    expect_refused(ann.shared_mutex("a").acquire_shared().value(), errc::misuse);
    expect_refused(ann.semaphore("b", 3).acquire().value(), errc::misuse);
    expect_refused(ann.semaphore("c", 3).acquire(3).value(), errc::misuse);
    EXPECT_TRUE(fence_of(ann.shared_mutex("d").acquire().value()));
    EXPECT_TRUE(fence_of(ann.election("e").campaign("me").value()));
}

TEST_F(guards, a_lost_hold_is_refused_as_lost) {
    const auto hold = ann.mutex("a").acquire().value();
    ASSERT_TRUE(sql.parameters(hold, {"1"}, "7"));
    engine.take_away("a", loss_reason::broken);
    expect_refused(hold, errc::lost);
}

TEST_F(guards, a_fence_names_its_claim) {
    const auto first = ann.mutex("a").acquire().value();
    const auto second = ann.mutex("b").acquire().value();
    EXPECT_EQ(fence_of(first)->token, first.token());
    EXPECT_EQ(fence_of(first)->owner, fence_of(first)->owner);
    EXPECT_NE(fence_of(first)->owner, fence_of(second)->owner);
    EXPECT_LE(fence_of(first)->owner.size(), 49U);
}

TEST_F(guards, the_statement_compares_and_writes_in_one) {
    EXPECT_EQ(sql.update(), R"(UPDATE "app"."accounts" SET "balance" = $1, "fence" = $2, "fence_owner" = $3 )"
                            R"(WHERE "id" = $4 AND ("fence" < $2 OR ("fence" = $2 AND "fence_owner" = $3)))");
    const auto other = sql_guard::make({.table = "jobs",
                                        .key = "id",
                                        .values = {},
                                        .fence = "mark",
                                        .owner = "whose",
                                        .dialect = sql_dialect::mysql})
                           .value();
    EXPECT_EQ(other.update(), "UPDATE `jobs` SET `mark` = ?, `whose` = ? WHERE `id` = ? AND "
                              "(`mark` < ? OR (`mark` = ? AND `whose` = ?))");
    const auto hold = ann.mutex("a").acquire().value();
    const auto given = other.parameters(hold, {}, "7").value();
    EXPECT_EQ(static_cast<std::size_t>(std::count(other.update().begin(), other.update().end(), '?')),
              given.size());
    EXPECT_EQ(given[2], "7");
    EXPECT_EQ(given[3], given[0]);
    EXPECT_EQ(given[5], given[1]);
}

TEST_F(guards, names_that_are_none_are_refused) {
    for (const char* bad : {"", "a b", "a\"; DROP TABLE x; --", "1a", "a.b.c", "a.", "\xc3\xa4"}) {
        EXPECT_EQ(code_of(sql_guard::make({.table = bad, .key = "id", .values = {}})), errc::misuse) << bad;
        EXPECT_EQ(code_of(sql_guard::make({.table = "t", .key = bad, .values = {}})), errc::misuse) << bad;
        EXPECT_EQ(code_of(sql_guard::make({.table = "t", .key = "id", .values = {bad}})), errc::misuse);
    }
    EXPECT_EQ(code_of(sql_guard::make({.table = std::string(64, 'a'), .key = "id", .values = {}})),
              errc::misuse);
    EXPECT_EQ(code_of(sql_guard::make({.table = "t", .key = "id", .values = {"fence"}})), errc::misuse);
    EXPECT_EQ(code_of(sql_guard::make({.table = "t", .key = "id", .values = {"a", "a"}})), errc::misuse);
    const auto hold = ann.mutex("a").acquire().value();
    EXPECT_EQ(code_of(sql.parameters(hold, {}, "7")), errc::misuse);
    EXPECT_EQ(code_of(guard_redis(hold, "k", {{"fence", "1"}})), errc::misuse);
}

TEST_F(guards, answers_are_judged) {
    EXPECT_EQ(code_of(sql_guard::judge(1)), std::nullopt);
    EXPECT_EQ(code_of(sql_guard::judge(0)), errc::lost);
    EXPECT_EQ(code_of(sql_guard::judge(2)), errc::misuse);
    EXPECT_EQ(code_of(judge_redis(1)), std::nullopt);
    EXPECT_EQ(code_of(judge_redis(0)), errc::lost);
    EXPECT_EQ(code_of(judge_redis(-1)), errc::misuse);
    EXPECT_EQ(code_of(judge_etcd(true)), std::nullopt);
    EXPECT_EQ(code_of(judge_etcd(false)), errc::lost);
}

TEST_F(guards, only_etcd_has_a_key_to_compare) {
    EXPECT_EQ(code_of(guard_etcd(ann.mutex("a").acquire().value())), errc::misuse);
}

} // namespace
} // namespace holdfast::testing
