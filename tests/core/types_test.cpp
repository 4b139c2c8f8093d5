#include <holdfast/holdfast.hpp>

#include <gtest/gtest.h>

#include <type_traits>

namespace holdfast {
namespace {

TEST(types, a_name_has_1_to_512_bytes_of_any_kind) {
    EXPECT_EQ(resource_name::make("").error().code(), errc::misuse);
    EXPECT_EQ(resource_name::make(std::string(513, 'x')).error().code(), errc::misuse);
    const std::string hostile("\0\n{}/..\xff", 8);
    EXPECT_EQ(resource_name::make(hostile)->bytes(), hostile);
    EXPECT_TRUE(resource_name::make(std::string(512, 'x')));
}

TEST(types, names_tokens_and_claim_ids_never_convert_to_each_other) {
    static_assert(!std::is_convertible_v<resource_name, token>);
    static_assert(!std::is_convertible_v<std::uint64_t, token>);
    static_assert(!std::is_convertible_v<token, std::uint64_t>);
    static_assert(!std::is_convertible_v<std::string, resource_name>);
    static_assert(!std::is_constructible_v<resource_name, token>);
}

TEST(types, a_claim_id_survives_its_text) {
    claim_id id;
    for (std::size_t i = 0; i < id.session.size(); ++i) {
        id.session[i] = static_cast<std::uint8_t>(17 * i + 3);
    }
    for (const std::uint64_t number :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xabcdef}, ~std::uint64_t{0}}) {
        id.number = number;
        claim_id back;
        ASSERT_TRUE(parse_claim_id(to_string(id), back)) << to_string(id);
        EXPECT_EQ(back, id);
        EXPECT_LE(to_string(id).size(), 49U);
    }
}

TEST(types, a_text_that_is_no_claim_id_is_refused) {
    const std::string good = to_string(claim_id{});
    claim_id out;
    for (const std::string& bad :
         {std::string(), good.substr(1), good + "g", "g" + good.substr(1), good.substr(0, 33),
          good.substr(0, 33) + "01", good.substr(0, 33) + "11111111111111111"}) {
        EXPECT_FALSE(parse_claim_id(bad, out)) << bad;
    }
}

TEST(types, a_result_throws_its_code_and_its_sentence) {
    const result<int> failed = error(errc::busy, "'x' is taken");
    EXPECT_FALSE(failed);
    try {
        static_cast<void>(result<int>(failed).value());
        FAIL() << "value() of a failure must throw";
    } catch (const std::system_error& caught) {
        EXPECT_EQ(caught.code(), errc::busy);
        EXPECT_NE(std::string(caught.what()).find("'x' is taken"), std::string::npos);
    }
    EXPECT_EQ(result<int>(7).value(), 7);
}

TEST(types, a_hold_moves_and_never_copies) {
    static_assert(!std::is_copy_constructible_v<held>);
    static_assert(std::is_nothrow_move_constructible_v<held>);
    held empty;
    EXPECT_FALSE(empty);
    EXPECT_EQ(empty.token().value(), 0U);
    EXPECT_TRUE(empty.is_lost());
    EXPECT_TRUE(empty.release());
}

} // namespace
} // namespace holdfast
