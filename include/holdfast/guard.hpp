// Fencing guards: a write that the data itself refuses once its writer has lost the lock.
//
// A lease protects only while everybody stops in time. A program that was suspended between its check and its
// write does not. So the data keep a mark, the highest token that has written, and the write is one atomic
// step with the comparison: a lower token changes nothing. These helpers give the statement, script or
// comparison, and judge the answer; the connection to the database is the caller's own.
//
// Who takes over raises the mark before its first read (with a write that changes nothing else): otherwise a
// stale write could fall between that read and its own write. The same holder may write as often as it likes.
//
// Exclusive holds only: the token of a reader or of permits fences nothing, and is refused with misuse. A
// lost hold is refused with lost before anything is sent. Free functions and plain values; as thread-safe as
// the held they are given. No round trip of their own, except where it is said.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <holdfast/held.hpp>

namespace holdfast {

/// What a guarded write carries.
struct fence {
    holdfast::token token; ///< Of the hold.
    std::string
        owner; ///< The claim, at most 49 characters of [0-9a-f.]: tells two holders of one token apart.
};

/// The fence of an exclusive hold. Errors: misuse (nothing held, or a reader's or permits' hold), lost.
result<fence> fence_of(const held& by);

/// How a database writes placeholders and names.
enum class sql_dialect {
    postgresql, ///< $1 and "name"
    sqlite,     ///< ? and "name"
    mysql,      ///< ? and `name`; the connection must count rows that match, not rows that differ
                ///< (CLIENT_FOUND_ROWS): a repeated write would look stale.
};

/// A guarded UPDATE of one row. Immutable; make one and use it for every write.
///
///     auto guard = sql_guard::make({.table = "accounts", .key = "id", .values = {"balance"}}).value();
///     auto parameters = guard.parameters(hold, {"70"}, "7").value();      // strings, in order
///     auto rows = run(guard.update(), parameters);                        // of the caller's own
///     auto outcome = sql_guard::judge(rows);                              // lost: it was stale
class sql_guard {
  public:
    /// The names, as the database stores them: letters, digits and _, not beginning with a digit, at most 63
    /// bytes; the table may have a schema before a dot. They are quoted, so a name may be a word of SQL.
    struct layout {
        std::string table;                 ///< Perhaps with its schema: app.accounts.
        std::string key;                   ///< The column that tells the row.
        std::vector<std::string> values;   ///< The columns to write; none: only the mark is raised.
        std::string fence = "fence";       ///< bigint not null: the mark.
        std::string owner = "fence_owner"; ///< varchar(64) not null: whose it is.
        sql_dialect dialect = sql_dialect::postgresql; ///< What the database speaks.
    };

    /// Errors: misuse, naming the name that is none or stands there twice.
    static result<sql_guard> make(layout of);

    /// The statements that add the two columns to a table that has none yet.
    std::vector<std::string> add_columns() const;

    /// UPDATE table SET values..., fence, owner WHERE key AND (fence < token OR fence = token AND owner =
    /// ours).
    const std::string& update() const noexcept { return update_; }

    /// What stands for the placeholders, as text, in their order. One value per column. Errors: misuse
    /// (another number of values, or as of fence_of), lost.
    result<std::vector<std::string>> parameters(const held& by, std::vector<std::string> values,
                                                std::string key) const;

    /// What the number of rows means that the statement matched. 1: written. 0: lost, as somebody with a
    /// higher token has written, or there is no such row; nothing was changed. More: misuse, as the key
    /// column does not tell one row; roll back.
    static result<void> judge(std::uint64_t rows);

  private:
    sql_guard(layout of, std::string update) : of_(std::move(of)), update_(std::move(update)) {}
    layout of_;
    std::string update_;
};

/// A guarded write of fields of one Redis hash: a script, which compares and writes in one step. The mark
/// stands in the same hash, in the fields `fence` and `fence_owner`; one key, so it works in a Cluster.
/// Tokens are compared as text, since Lua's numbers are exact to 2^53 only.
struct redis_write {
    std::string_view script;            ///< The same for every write: EVALSHA may be used.
    std::vector<std::string> keys;      ///< KEYS: the hash.
    std::vector<std::string> arguments; ///< ARGV.

    /// The whole command, to be sent as it stands: EVAL script 1 key arguments...
    std::vector<std::string> command() const;
};

/// The guarded write of these fields; none: only the mark is raised. Errors: misuse (a field named fence or
/// fence_owner, or as of fence_of), lost.
result<redis_write> guard_redis(const held& by, std::string key,
                                std::vector<std::pair<std::string, std::string>> fields);

/// What the script's integer reply means. 1: written. 0: lost, as somebody with a higher token has written;
/// nothing was changed. Any other: misuse. An error reply changed nothing either.
result<void> judge_redis(std::int64_t reply);

/// What to compare in an etcd transaction of the caller's: the key of the hold has this create revision. Only
/// holds of an etcd store have one, and only a transaction on the same cluster can compare it. The comparison
/// alone protects the write: it needs no mark beside the data.
///
///     etcdctl txn:   create("<key>") = "<create_revision>"
///     protobuf:      Compare{result: EQUAL, target: CREATE, key, create_revision}
struct etcd_fence {
    std::string key;                  ///< Opaque bytes.
    std::int64_t create_revision = 0; ///< Of that key: the hold's token.
};

/// The comparison for an exclusive hold. Errors: misuse (not of an etcd store, or as of fence_of), lost.
result<etcd_fence> guard_etcd(const held& by);

/// What the transaction's answer means, if this was its only comparison. Succeeded: written. Otherwise lost:
/// the hold had ended; nothing was changed.
result<void> judge_etcd(bool succeeded);

} // namespace holdfast
