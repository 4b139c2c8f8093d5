// How long a record keeps the claim that it is about, which keeps the record: whoever breaks this circle too
// late leaks both.
#include <memory>

#include <gtest/gtest.h>

#include "etcd/record.hpp"

namespace holdfast::etcd {
namespace {

class silent_claim final : public claim_events {
  public:
    silent_claim()
        : claim_events({.name = resource_name::make("a").value(), .id = {.session = {1}, .number = 1}}) {}
    void on_waiting() noexcept override {}
    void on_granted(token) noexcept override {}
    void on_refused(error) noexcept override {}
    void on_renewed(instant) noexcept override {}
    void on_lost(loss_reason) noexcept override {}
    void on_removed(result<void>) noexcept override {}
};

/// How many references are left besides ours and the one that goes with the news.
long kept_after(notice news) {
    const auto entry = std::make_shared<silent_claim>();
    record one("a/", "a/1-2-1.1", entry->claim());
    const core::latch_guard locked(one.guard);
    one.keep(entry);
    one.push(std::move(news));
    return entry.use_count() - 2;
}

TEST(etcd_record, keeps_a_claim_until_its_last_news_also_where_the_removal_failed) {
    const error failed(errc::unavailable, "no answer");
    EXPECT_EQ(kept_after({notice::kind::waiting}), 1);
    EXPECT_EQ(kept_after({notice::kind::granted, 7}), 1);
    EXPECT_EQ(kept_after({notice::kind::refused, 0, {}, failed}), 0);
    EXPECT_EQ(kept_after({notice::kind::lost, 0, loss_reason::revoked}), 0);
    EXPECT_EQ(kept_after({notice::kind::removed}), 0);
    EXPECT_EQ(kept_after({notice::kind::removed, 0, {}, failed}), 0);
}

} // namespace
} // namespace holdfast::etcd
