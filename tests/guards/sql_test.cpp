// The guarded UPDATE on a real PostgreSQL.
#include <gtest/gtest.h>

#include <libpq-fe.h>

#include <holdfast/guard.hpp>
#include <holdfast/holdfast.hpp>

#include "guards/code_of.hpp"
#include "support/servers.hpp"
#include "support/temp_dir.hpp"

namespace holdfast::testing {
namespace {

/// A connection of the caller's own.
class database {
  public:
    explicit database(const std::string& conninfo) : connection_(PQconnectdb(conninfo.c_str())) {
        EXPECT_EQ(PQstatus(connection_), CONNECTION_OK) << PQerrorMessage(connection_);
    }
    ~database() { PQfinish(connection_); }
    database(const database&) = delete;
    database& operator=(const database&) = delete;

    /// The number of rows it changed; for a query, the first field.
    std::string run(const std::string& statement, const std::vector<std::string>& parameters = {}) {
        std::vector<const char*> values;
        for (const auto& each : parameters) {
            values.push_back(each.c_str());
        }
        PGresult* const answer = PQexecParams(connection_, statement.c_str(), static_cast<int>(values.size()),
                                              nullptr, values.data(), nullptr, nullptr, 0);
        const ExecStatusType status = PQresultStatus(answer);
        EXPECT_TRUE(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
            << statement << ": " << PQerrorMessage(connection_);
        std::string text = status == PGRES_TUPLES_OK ? PQgetvalue(answer, 0, 0) : PQcmdTuples(answer);
        PQclear(answer);
        return text;
    }
    result<void> write(const sql_guard& guard, const std::vector<std::string>& parameters) {
        return sql_guard::judge(std::stoull(run(guard.update(), parameters)));
    }

  private:
    PGconn* connection_;
};

class sql_guards : public ::testing::Test {
  protected:
    static void SetUpTestSuite() { server = std::make_unique<postgres_server>(); }
    static void TearDownTestSuite() { server.reset(); }
    void SetUp() override {
        db.run("DROP TABLE IF EXISTS \"user\"");
        db.run("CREATE TABLE \"user\" (id int primary key, balance int, \"order\" text)");
        db.run("INSERT INTO \"user\" VALUES (7, 100, 'a'), (8, 100, 'b')");
        for (const auto& each : guard.add_columns()) {
            db.run(each);
        }
    }
    std::string balance() { return db.run("SELECT balance FROM \"user\" WHERE id = 7"); }

    static inline std::unique_ptr<postgres_server> server;
    temp_dir folder{"holdfast-guards"};
    locks ann = connect("local:" + folder.path().string());
    locks bob = connect("local:" + folder.path().string());
    database db{server->conninfo()};
    sql_guard guard = sql_guard::make({.table = "user", .key = "id", .values = {"balance", "order"}}).value();
};

TEST_F(sql_guards, the_data_refuse_a_stale_writer) {
    auto first = ann.mutex("x").acquire().value();
    const auto in_time = guard.parameters(first, {"70", "first"}, "7").value();
    const auto too_late = guard.parameters(first, {"1", "stale"}, "7").value();
    EXPECT_EQ(code_of(db.write(guard, in_time)), std::nullopt);
    EXPECT_EQ(code_of(db.write(guard, in_time)), std::nullopt) << "the same holder writes again";
    EXPECT_EQ(balance(), "70");
    EXPECT_TRUE(first.release());
    auto second = bob.mutex("x").acquire().value();
    const auto raise = sql_guard::make({.table = "user", .key = "id", .values = {}}).value();
    EXPECT_EQ(code_of(db.write(raise, raise.parameters(second, {}, "7").value())), std::nullopt);
    EXPECT_EQ(code_of(db.write(guard, too_late)), errc::lost) << "a stale write after the mark was raised";
    EXPECT_EQ(balance(), "70");
    EXPECT_EQ(code_of(db.write(guard, guard.parameters(second, {"40", "second"}, "7").value())),
              std::nullopt);
    EXPECT_EQ(balance(), "40");
    EXPECT_EQ(code_of(db.write(guard, too_late)), errc::lost);
    EXPECT_EQ(balance(), "40");
    EXPECT_EQ(db.run("SELECT balance FROM \"user\" WHERE id = 8"), "100") << "another row was touched";
}

TEST_F(sql_guards, one_token_of_two_owners_lets_the_first_one_write) {
    const auto hold = ann.mutex("x").acquire().value();
    const auto mine = guard.parameters(hold, {"70", ""}, "7").value();
    auto other = mine;
    other[3] = "another";
    EXPECT_EQ(code_of(db.write(guard, mine)), std::nullopt);
    EXPECT_EQ(code_of(db.write(guard, other)), errc::lost);
}

TEST_F(sql_guards, the_number_of_rows_tells_what_happened) {
    const auto hold = ann.mutex("x").acquire().value();
    EXPECT_EQ(code_of(db.write(guard, guard.parameters(hold, {"1", ""}, "99").value())), errc::lost)
        << "there is no such row";
    const auto loose = sql_guard::make({.table = "user", .key = "balance", .values = {}}).value();
    EXPECT_EQ(code_of(db.write(loose, loose.parameters(hold, {}, "100").value())), errc::misuse)
        << "two rows have that key";
}

TEST_F(sql_guards, tokens_use_all_63_bits) {
    const auto hold = ann.mutex("x").acquire().value();
    auto highest = guard.parameters(hold, {"5", ""}, "7").value();
    highest[2] = "9223372036854775807";
    auto below = highest;
    below[2] = "9223372036854775806";
    EXPECT_EQ(code_of(db.write(guard, highest)), std::nullopt);
    EXPECT_EQ(code_of(db.write(guard, below)), errc::lost);
}

} // namespace
} // namespace holdfast::testing
