// What tests of the public faces start from: a world, and connections to it as other processes would have
// them.
#pragma once

#include <memory>
#include <string>

#include <holdfast/holdfast.hpp>

#include "contract/world.hpp"
#include "core/client.hpp"

namespace holdfast::testing {

class face_test : public ::testing::TestWithParam<world_maker> {
  protected:
    void SetUp() override { world_ = GetParam().make(); }

    world& here() { return *world_; }
    /// A connection as another process would have it.
    locks connect(options how = {}) {
        return locks(core::client::adopt(world_->connect(), "test:" + GetParam().name, how).value());
    }
    /// A name of this test's own.
    static std::string fresh(const std::string& stem = "name") {
        return std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()).substr(0, 40) +
               "-" + stem;
    }
    /// How many claims stand in the name's line.
    static std::size_t in_line(const locks& by, const std::string& name) {
        return by.show(name).value().claims.size();
    }

  private:
    std::unique_ptr<world> world_;
};

/// What a result came to, in one word for EXPECT_EQ; none when it succeeded.
template <typename T>
std::optional<errc> code_of(const result<T>& outcome) {
    return outcome ? std::nullopt : std::optional(outcome.error().code());
}

} // namespace holdfast::testing
